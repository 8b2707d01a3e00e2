#!/usr/bin/env python3
"""Submit Snakemake's jobs as Kubernetes Jobs and look at them, through kubectl. Called
by the profile beside this file.

Without a verb it is the sidecar: it runs beside Snakemake, and when that ends it
deletes the jobs of this run that have not ended, as after Ctrl-C. The executor's own
way to cancel (cluster-generic 1.0.9) takes the whole command for the name of one
program, gives it two seconds, and leaves out the jobs whose status is being asked for.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path


def kubectl(*arguments: str, text: str | None = None) -> str:
    """Standard output of one kubectl call; its error message goes to our standard
    error.
    """
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
        "resources": {
            "requests": amounts,
            "limits": {key: value for key, value in amounts.items() if key != "cpu"},
        },
        "volumeMounts": [{"name": "shared", "mountPath": mount}],
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": claim}}],
    }
    if gpu:
        pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    # No second try here: Snakemake resubmits with more memory and time.
    spec = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": runtime * 60,
        "ttlSecondsAfterFinished": 3600,
        "template": {"spec": pod},
    }
    labels = {"app": "eadbench"} | (
        {"run": run} if (run := os.environ.get("SNAKEMAKE_CLUSTER_SIDECAR_VARS")) else {}
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def submit(args: argparse.Namespace) -> None:
    """Create the job and print its name."""
    name = f"eadbench-{uuid.uuid4().hex[:20]}"
    job = manifest(name, args.script.resolve(), args.threads, args.mem_mb, args.runtime, args.gpu)
    kubectl("create", "-f", "-", text=json.dumps(job))
    print(name)


def status(args: argparse.Namespace) -> None:
    """Print ``running``, ``success`` or ``failed``. A job that is gone has failed; of
    one that the cluster tells nothing about, nothing new is known, and ``failed`` would
    start a second one beside it.
    """
    try:
        found = kubectl("get", "job", args.name, "--ignore-not-found", "-o", "json")
    except subprocess.CalledProcessError:
        print("running")
        return
    if not found:
        print("failed")
        return
    ended = ended_as(json.loads(found))
    print("success" if "Complete" in ended else "failed" if "Failed" in ended else "running")


def ended_as(job: dict) -> set[str]:
    """Conditions that hold for a job, e.g. ``Complete`` or ``Failed``."""
    return {c["type"] for c in job.get("status", {}).get("conditions") or [] if c["status"] == "True"}


def sidecar() -> None:
    """Print the name of the run, wait for Snakemake's end, and delete the jobs that are
    left. Those of a Snakemake that was killed go on; the next one takes them up.
    """
    ended = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us, too; Snakemake sends SIGTERM after it
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    run, parent = uuid.uuid4().hex[:20], os.getppid()
    print(run, flush=True)
    while not ended:
        time.sleep(0.2)
        if os.getppid() != parent:
            return
    # what was being submitted comes late, and the cluster may be out of reach for a
    # while
    for wait in (0, 1, 2, 4, 8, 16):
        time.sleep(wait)
        try:
            jobs = json.loads(kubectl("get", "job", "--selector", f"run={run}", "-o", "json"))["items"]
            left = [job["metadata"]["name"] for job in jobs if not ended_as(job) & {"Complete", "Failed"}]
            if left:
                kubectl("delete", "job", "--ignore-not-found", "--wait=false", *left)
            elif wait:
                return
        except subprocess.CalledProcessError:
            continue
    sys.exit(f"jobs may be left: kubectl delete job --selector run={run}")


def main() -> None:
    """Read the command line."""
    if len(sys.argv) == 1:
        sidecar()
        return
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
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
