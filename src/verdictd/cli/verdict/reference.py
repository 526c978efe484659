"""`verdict reference FILE…`: reference values from the thing that was built, so that nobody types a hash."""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

from verdictd.cli.files import read_bounded, write_whole
from verdictd.cli.progress import ProgressBar
from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.guest_reference import add_guest_options, run_guest_reference
from verdictd.cli.verdict.reference_report import describe, describe_refusals, encode_report
from verdictd.cli.verdict.reference_upload import Upload, fetch_reference, upload
from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_REFERENCE_BYTES
from verdictd.core.result import JSONValue
from verdictd.enclave.sgx_sign_dump import write_dump
from verdictd.policy.json_document import parse_json_object
from verdictd.reference.finder import find_subjects, select, unite
from verdictd.reference.subject import Finding, Subject, Unusable
from verdictd.tees.sgx_ecdsa.reference_values import Change, add_to_reference, make_reference, take_from_reference

_DONE, _REFUSED = 0, 1
_STDOUT: Final = "-"


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        name,
        help=description,
        description="Read signed enclaves, verify their signatures, measure their images, and make reference values."
        " Exit codes: 0 done, 1 refused, 2 usage or input error.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a signed enclave (.so), a SIGSTRUCT (sigstruct.bin, .sig), an .sgxs file, an RPM, a DEB, a directory,"
        " a quote or a RATS-TLS certificate; with --tee the firmware of a confidential VM",
    )
    parser.add_argument("--member", metavar="NAME", help="of several enclaves in a file, the one whose name ends so")
    _add_outputs(parser)
    _add_changes(parser)
    _add_upload(parser)
    add_guest_options(parser)
    parser.set_defaults(run=run)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is written")
    group.add_argument("-o", "--output", metavar="PATH", help="write the reference file; - for standard output alone")
    group.add_argument("--evidence", metavar="PATH", help="write the evidence file that goes with it")
    group.add_argument("--json", action="store_true", help="print everything that was found and checked as JSON")
    group.add_argument("--compat-dump", metavar="PATH", help="write what `sgx_sign dump -dumpfile` writes")
    group.add_argument("--cssfile", metavar="PATH", help="write the SIGSTRUCT, as `sgx_sign dump -cssfile` does")


def _add_changes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the reference allows")
    held = group.add_mutually_exclusive_group()
    held.add_argument("--merge", metavar="EXISTING", help="add to this reference file: old and new are both allowed")
    held.add_argument("--merge-held", action="store_true", help="the same with what verdictd holds under --set")
    group.add_argument("--remove", action="store_true", help="take from --merge's file instead of adding to it")
    group.add_argument("--signer-only", action="store_true", help="any enclave of the signer, not only these")


def _add_upload(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("upload")
    group.add_argument("-c", "--client-api", default=argparse.SUPPRESS, metavar="ADDRESS", help="as before the command")
    group.add_argument("--set", dest="name", metavar="NAME", help="test against verdictd's policy, and upload as NAME")
    group.add_argument("--policy", default="sgxPolicy.rego", metavar="NAME", help="the policy (default sgxPolicy.rego)")
    group.add_argument(
        "--dry-run", action="store_true", help="with --set: show the difference and test; upload nothing"
    )


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the subcommand. `now` is not used: signatures of enclaves do not expire."""
    del now
    if arguments.tee is not None:
        return run_guest_reference(arguments, out)
    _check_usage(arguments)
    findings = _find(arguments)
    refused = [each for each in findings if isinstance(each, Unusable)]
    subjects = [each for each in findings if isinstance(each, Subject)]
    if refused:
        out.write(encode_report(findings, None) if arguments.json else describe_refusals(refused))
        return _REFUSED
    _check_single(arguments, subjects)
    change = _make(arguments, subjects)
    content = json.dumps(change.reference, indent=4, ensure_ascii=False)
    if arguments.output == _STDOUT:
        out.write(f"{content}\n")
        sys.stderr.writelines(f"note: {note}\n" for note in change.notes)
    else:
        out.write(encode_report(findings, change) if arguments.json else describe(subjects, change))
    report = sys.stderr if arguments.json or arguments.output == _STDOUT else out
    if arguments.name is not None:
        code = upload(_build_upload(arguments, subjects, content), arguments.client_api, report)
        if code:
            return code
    _write_files(arguments, subjects, content, report)
    return _DONE


def _check_usage(arguments: argparse.Namespace) -> None:
    if arguments.remove and not (arguments.merge or arguments.merge_held):
        raise ConfigError("--remove needs a reference to take from", remedy="name it with --merge, or use --merge-held")
    if arguments.merge_held and arguments.name is None:
        raise ConfigError("--merge-held needs the reference's name", remedy="name it with --set")
    if arguments.dry_run and arguments.name is None:
        raise ConfigError("--dry-run is of an upload", remedy="name the reference with --set")


def _find(arguments: argparse.Namespace) -> tuple[Finding, ...]:
    paths = [Path(file) for file in arguments.files]
    found: list[Finding] = []
    with ProgressBar(sys.stderr) as progress:
        for path in paths:
            findings = find_subjects(path, (each for each in paths if each != path), progress.show)
            found += select(findings, arguments.member, str(path))
    return unite(found)


def _check_single(arguments: argparse.Namespace, subjects: list[Subject]) -> None:
    for flag, path in (
        ("--evidence", arguments.evidence),
        ("--compat-dump", arguments.compat_dump),
        ("--cssfile", arguments.cssfile),
    ):
        if path is not None and len(subjects) > 1:
            raise ConfigError(f"{flag} is of one enclave, {len(subjects)} were named")
    if (arguments.compat_dump or arguments.cssfile) and not subjects[0].signature:
        raise ConfigError(
            f"{subjects[0].where} is evidence, which has no SIGSTRUCT", remedy="name the signed enclave it was made by"
        )
    if arguments.compat_dump and not subjects[0].metadata:
        raise ConfigError(
            f"{subjects[0].where} has no metadata of Intel's SDK", remedy="name the signed enclave (.so), or --cssfile"
        )


def _make(arguments: argparse.Namespace, subjects: list[Subject]) -> Change:
    values = [subject.values for subject in subjects]
    existing = _read_existing(arguments)
    if existing is None:
        return make_reference(values, signer_only=arguments.signer_only)
    change = take_from_reference if arguments.remove else add_to_reference
    return change(existing, values, signer_only=arguments.signer_only)


def _read_existing(arguments: argparse.Namespace) -> Mapping[str, JSONValue] | None:
    if arguments.merge_held:
        return fetch_reference(arguments.client_api, arguments.name)
    if arguments.merge is None:
        return None
    content = read_bounded(arguments.merge, MAX_REFERENCE_BYTES)
    return parse_json_object(content, arguments.merge, MAX_REFERENCE_BYTES)


def _build_upload(arguments: argparse.Namespace, subjects: list[Subject], content: str) -> Upload:
    return Upload(
        name=arguments.name,
        policy=arguments.policy,
        reference=content,
        inputs={subject.where: json.dumps(dict(subject.policy_input)) for subject in subjects},
        must_allow=not arguments.remove,
        is_dry_run=arguments.dry_run,
    )


def _write_files(arguments: argparse.Namespace, subjects: list[Subject], content: str, report: TextIO) -> None:
    subject = subjects[0]
    files: dict[str, bytes] = {}
    if arguments.output not in {None, _STDOUT}:
        files[arguments.output] = content.encode()
    if arguments.evidence is not None:
        files[arguments.evidence] = json.dumps(subject.values.as_evidence()).encode()
    if arguments.compat_dump is not None:
        files[arguments.compat_dump] = write_dump(subject.metadata, subject.signature).encode("ascii")
    if arguments.cssfile is not None:
        files[arguments.cssfile] = subject.signature
    for path, data in files.items():
        write_whole(Path(path), data)
        report.write(f"written to {path}\n")
