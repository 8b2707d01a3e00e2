"""Submit, look at and cancel Snakemake's jobs as Kubernetes Jobs, through kubectl. Called by the profile beside this file."""

import argparse
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path


def kubectl(*arguments: str, text: str | None = None) -> str:
    """Standard output of one kubectl call; its error message goes to our standard error."""
    command = ["kubectl", "--namespace", os.environ.get("EADBENCH_NAMESPACE", "default"), *arguments]
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout


def manifest(name: str, script: Path, threads: int, mem_mb: int, runtime: int, gpu: int) -> dict:
    """A Job with one pod that runs a script on the shared volume.

    Raises:
        SystemExit: If image or volume are not named.
    """
    try:
        image, (claim, _, mount) = os.environ["EADBENCH_IMAGE"], os.environ["EADBENCH_VOLUME"].partition(":")
    except KeyError as error:
        sys.exit(f"set {error.args[0]}; see profiles/kubernetes/profile.yaml")
    amounts = {"cpu": str(threads), "memory": f"{mem_mb}M"} | ({"nvidia.com/gpu": str(gpu)} if gpu else {})
    container = {
        "name": "job",
        "image": image,
        "command": ["/bin/sh", str(script)],
        "workingDir": str(Path.cwd()),
        "resources": {"requests": amounts, "limits": {key: value for key, value in amounts.items() if key != "cpu"}},
        "volumeMounts": [{"name": "shared", "mountPath": mount}],
    }
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": claim}}]}
    if gpu:
        pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    # No second try here: Snakemake resubmits with more memory and time.
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": runtime * 60, "ttlSecondsAfterFinished": 3600, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {"app": "eadbench"}}, "spec": spec}


def submit(args: argparse.Namespace) -> None:
    """Create the job and print its name."""
    name = f"eadbench-{uuid.uuid4().hex[:20]}"
    job = manifest(name, args.script.resolve(), args.threads, args.mem_mb, args.runtime, args.gpu)
    kubectl("create", "-f", "-", text=json.dumps(job))
    print(name)


def status(args: argparse.Namespace) -> None:
    """Print ``running``, ``success`` or ``failed``. A job that is gone has failed; of one that the cluster tells nothing about, nothing new is known,
    and ``failed`` would start a second one beside it.
    """
    try:
        found = kubectl("get", "job", args.name, "--ignore-not-found", "-o", "json")
    except subprocess.CalledProcessError:
        print("running")
        return
    if not found:
        print("failed")
        return
    conditions = json.loads(found).get("status", {}).get("conditions") or []
    ended = {c["type"] for c in conditions if c["status"] == "True"}
    print("success" if "Complete" in ended else "failed" if "Failed" in ended else "running")


def cancel(args: argparse.Namespace) -> None:
    """Delete jobs with their pods."""
    kubectl("delete", "job", "--ignore-not-found", "--wait=false", *args.names)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("submit")
    for name in ("--threads", "--mem-mb", "--runtime", "--gpu"):
        one.add_argument(name, type=int, required=True)
    one.add_argument("script", type=Path)
    one.set_defaults(call=submit)
    one = verbs.add_parser("status")
    one.add_argument("name")
    one.set_defaults(call=status)
    one = verbs.add_parser("cancel")
    one.add_argument("names", nargs="+")
    one.set_defaults(call=cancel)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
