#!/usr/bin/env bash
# mlcroissant 1.1.1 validates a Parquet file under its registered media type (IANA: application/vnd.apache.parquet)
# without a word, and then cannot read it; it reads the unregistered application/x-parquet alone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet mlcroissant==1.1.1 pyarrow==25.0.0
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import hashlib, importlib.metadata, json, logging
import mlcroissant, pandas

logging.disable(logging.WARNING)
print("mlcroissant", importlib.metadata.version("mlcroissant"))
pandas.DataFrame({"x": [1, 2, 3]}).to_parquet("t.parquet")
sha256 = hashlib.sha256(open("t.parquet", "rb").read()).hexdigest()


def records(encoding):
    field = {"@type": "cr:Field", "@id": "r/x", "name": "r/x", "dataType": "sc:Integer",
             "source": {"fileObject": {"@id": "f"}, "extract": {"column": "x"}}}
    described = {
        "@context": {"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
                     "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo", "recordSet": "cr:recordSet", "field": "cr:field",
                     "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "source": "cr:source", "fileObject": "cr:fileObject",
                     "extract": "cr:extract", "column": "cr:column"},
        "@type": "sc:Dataset", "name": "d", "description": "d", "url": "https://example.org", "license": "CC0-1.0",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "distribution": [{"@type": "cr:FileObject", "@id": "f", "name": "t.parquet", "contentUrl": "t.parquet", "encodingFormat": encoding,
                          "sha256": sha256}],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "r", "name": "r", "field": [field]}],
    }
    json.dump(described, open("c.json", "w"))
    dataset = mlcroissant.Dataset("c.json")  # validates
    try:
        return f"validates, {len(list(dataset.records('r')))} records"
    except Exception as error:
        return f"validates, reading fails: {type(error.__cause__ or error).__name__}"


found = {encoding: records(encoding) for encoding in ("application/x-parquet", "application/vnd.apache.parquet")}
for encoding, told in found.items():
    print(f"{encoding}: {told}")
assert found["application/x-parquet"] == "validates, 3 records", "the behaviour changed"
assert found["application/vnd.apache.parquet"] == "validates, reading fails: ValueError", "the behaviour changed"
PYTHON
