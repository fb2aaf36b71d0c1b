from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from grader.check import Check
from grader.checks.dockerfile import build as image_build
from grader.checks.dockerfile import checks
from grader.checks.dockerfile import facts as dockerfile_facts
from grader.checks.dockerfile.build_context import BuildContext, ignore_patterns, ignored
from grader.checks.dockerfile.facts import _PARSER, expand
from grader.docker_engine import Engine
from grader.documents import Problem
from grader.errors import GraderFault
from grader.results import Outcome, Verdict
from grader.runtime.image_build.request import Request
from tests.builders import decide, make_context, make_submission

HONEST = """
    FROM python:3.11-slim AS builder
    WORKDIR /build
    COPY requirements-lock.txt .
    RUN pip install --no-cache-dir --prefix=/install -r requirements-lock.txt
    FROM python:3.11-slim
    WORKDIR /app
    COPY --from=builder /install /usr/local
    COPY src/ src/
    CMD ["python", "src/train.py"]
"""
LOCK: dict[str, object] = {"file": "dockerfile", "lock": "lock", "path": "requirements-lock.txt"}
TRAIN = {"file": "dockerfile", "script": "train", "path": "src/train.py"}
BASE = {"file": "dockerfile", "repositories": ["python"], "tag": r"3\.11(\.\d+)?-slim(-[a-z0-9]+)?"}
BUILDS: dict[str, object] = {"file": "dockerfile", "images": ["nginx"], "keep": ["python"], "control": []}


def _decide(root: Path, check: Check, text: str, parameters: Mapping[str, object], **files: str) -> Outcome:
    contents: dict[str, str | bytes] = {
        "Dockerfile.train": text,
        "requirements-lock.txt": "pandas==2.1.0\n",
        "src/train.py": "",
        "src/config.py": "",
        **files,
    }
    deliverables = {
        "dockerfile": "Dockerfile.train",
        "lock": "requirements-lock.txt",
        "train": "src/train.py",
    }
    context = make_context(root, contents, deliverables=deliverables)
    return decide(check, context, **parameters)


def _passes(root: Path, check: Check, text: str, parameters: Mapping[str, object], **files: str) -> bool:
    return _decide(root, check, text, parameters, **files).verdict is Verdict.PASSED


HOSTILE = {
    "empty": "",
    "binary": "\0\1\2",
    "no stage": "RUN echo",
    "arguments only": "ARG A=1",
    "words": "hello world",
    "unterminated heredoc": "FROM python:3.11-slim\nRUN <<EOF\nx",
    "half": "FROM",
    "unclosed": "FROM ${X:-",
    "itself": "FROM a AS a\nFROM a AS a\nCOPY --from=a . .",
    "no value": "FROM a\nCOPY\nRUN\nCMD\nENV\nWORKDIR\nARG\nSHELL []\nCMD x",
    "mounts": "FROM a\nRUN --mount=,,,=,from= pip install -r x\nRUN --mount x",
    "explosion": "FROM a AS s0\nCOPY . /\n"
    + "".join(
        f"FROM a AS s{n}\nCOPY --from=s{n - 1} / /x\nCOPY --from=s{n - 1} / /y\n" for n in range(1, 60)
    ),
    "parents": "FROM a\nWORKDIR ../../..\nCOPY ../../etc/passwd ../../../\nCMD python ../../x",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_dockerfile_breaks_a_check(tmp_path: Path, text: str) -> None:
    context = make_context(
        tmp_path,
        {"Dockerfile.train": text, "src/train.py": ""},
        deliverables={"dockerfile": "Dockerfile.train"},
    )
    for check, parameters in (
        (checks.base, BASE),
        (checks.multistage, {"file": "dockerfile"}),
        (checks.installs, LOCK),
        (checks.copies, TRAIN),
        (checks.starts, TRAIN),
        (checks.builds, BUILDS),
    ):
        decide(check, context, **parameters)
    assert decide(checks.base, context, **BASE).verdict is Verdict.FAILED


def test_a_missing_or_unreadable_dockerfile_fails(tmp_path: Path) -> None:
    missing = decide(checks.base, make_context(tmp_path, {}), **BASE)
    assert missing.findings[0].message == "dockerfile is missing"
    latin = make_context(tmp_path, {"D": b"FROM a # \xe9"}, deliverables={"dockerfile": "D"})
    assert decide(checks.builds, latin, **BUILDS).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "image",
    [
        "python:3.11-slim",
        "python:3.11.9-slim",
        "python:3.11-slim-bookworm",
        "docker.io/library/python:3.11-slim",
        "library/python:3.11-slim",
        "python:3.11-slim@sha256:" + "a" * 64,
        "--platform=linux/amd64 python:3.11-slim",
    ],
)
def test_base_takes_the_same_image_in_other_words(tmp_path: Path, image: str) -> None:
    assert _passes(tmp_path, checks.base, f"FROM {image} AS b\nRUN x\nFROM b\nCMD x", BASE)


@pytest.mark.parametrize(
    "image",
    [
        "python:3.11",
        "python:3.12-slim",
        "python",
        "python:3.11-alpine",
        "me/python:3.11-slim",
        "python@sha256:a",
    ],
)
def test_base_refuses_another_image_in_any_stage(tmp_path: Path, image: str) -> None:
    text = f"FROM {image} AS builder\nRUN x\nFROM python:3.11-slim\nCOPY --from=builder /a /a"
    outcome = _decide(tmp_path, checks.base, text, BASE)
    assert outcome.verdict is Verdict.FAILED
    assert outcome.findings[0].where == "Dockerfile.train:1"


@pytest.mark.parametrize(
    ("arguments", "image"),
    [
        ("ARG V=3.11", "python:${V}-slim"),
        ("ARG IMAGE=python:3.11-slim", "$IMAGE"),
        ('ARG P="python"\nARG I=${P}:3.11-slim', "${I}"),
        ("ARG V", "python:${V:-3.11}-slim"),
    ],
)
def test_base_expands_arguments(tmp_path: Path, arguments: str, image: str) -> None:
    assert _passes(tmp_path, checks.base, f"{arguments}\nFROM {image}\nCMD x", BASE)


def test_base_minds_stages_that_do_something_and_no_mere_source(tmp_path: Path) -> None:
    tool = "FROM ghcr.io/astral-sh/uv:0.5 AS uv\n{}FROM python:3.11-slim\nCOPY --from=uv /uv /bin/\n"
    assert _passes(tmp_path, checks.base, tool.format(""), BASE)
    assert not _passes(tmp_path, checks.base, tool.format("RUN x\n"), BASE)
    assert not _passes(tmp_path, checks.base, "FROM scratch\nCMD x", BASE)


@pytest.mark.parametrize(
    "text",
    [
        HONEST,
        "from python:3.11-slim as B\nfrom b\ncopy --from=0 /a /a",
        "FROM a AS b\nFROM a\nRUN --mount=type=bind,from=b,target=/w pip install /w/*",
        "FROM a AS b\nFROM a AS run\nCOPY --from=b /a /a\nFROM run",
    ],
)
def test_multistage(tmp_path: Path, text: str) -> None:
    assert _passes(tmp_path, checks.multistage, text, {"file": "dockerfile"})


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nCOPY . .",
        "FROM a AS b\nFROM a\nCOPY . .",
        "FROM a AS b\nFROM a\nCOPY --from=nginx /a /a",
        "FROM a AS b\nFROM a AS c\nCOPY --from=b x x\nFROM a",
        "FROM a AS b\nFROM a AS last\nCOPY --from=last /a /a",
    ],
)
def test_multistage_needs_the_final_stage_to_take_something(tmp_path: Path, text: str) -> None:
    assert not _passes(tmp_path, checks.multistage, text, {"file": "dockerfile"})


INSTALLS = {
    "relative": "WORKDIR /b\nCOPY FROZEN .\nRUN pip install -r FROZEN",
    "tmp": "COPY FROZEN /tmp/\nRUN pip install --user -r /tmp/FROZEN",
    "renamed": "COPY FROZEN requirements.txt\nRUN pip3 install -rrequirements.txt",
    "all": "WORKDIR /a\nCOPY . .\nRUN python -m pip install --no-cache-dir -r FROZEN",
    "glob": "COPY requirements*.txt ./\nRUN pip install --requirement=FROZEN",
    "absolute glob": "ADD requirements-*.txt /w/\nRUN cd /w && pip wheel -w /wheels -r FROZEN",
    "uv": "COPY FROZEN .\nRUN uv pip install --system -r FROZEN",
    "uv sync": "COPY FROZEN .\nRUN uv pip sync FROZEN",
    "bind": "RUN --mount=type=bind,source=FROZEN,target=/r.txt "
    "--mount=type=cache,target=/c pip install -r /r.txt",
    "bind all": "WORKDIR /a\nRUN --mount=target=. pip install -r FROZEN",
    "heredoc": "COPY FROZEN /w/\nWORKDIR /w\nRUN <<EOF\nset -e\npip install -r FROZEN\nEOF",
    "venv": "COPY FROZEN .\nRUN python -m venv /v && /v/bin/pip install -r FROZEN",
    "json": 'COPY ["FROZEN", "./"]\nRUN ["pip", "install", "-r", "FROZEN"]',
    "variable": "ENV H=/h\nWORKDIR $H\nCOPY FROZEN $H/\nRUN pip install -r ${H}/FROZEN",
    "stage": "COPY FROZEN /x/\nFROM a AS c\nCOPY --from=b /x/ /y/\nRUN pip install -r /y/FROZEN",
    "parent": "WORKDIR /p\nCOPY FROZEN .\nFROM b\nRUN pip install -r FROZEN",
    "copied on": "COPY FROZEN /x/\nRUN cp /x/FROZEN /r.txt && pip install -r /r.txt",
    "continued": "COPY FROZEN .\nRUN pip install \\\n  # why\n  --no-deps \\\n  -r FROZEN",
    "constraint": "COPY . .\nRUN pip install -c FROZEN .",
}


@pytest.mark.parametrize("body", INSTALLS.values(), ids=INSTALLS.keys())
def test_installs(tmp_path: Path, body: str) -> None:
    text = body.replace("FROZEN", "requirements-lock.txt")
    assert _passes(tmp_path, checks.installs, f"FROM a AS b\n{text}\n", LOCK)


NOT_INSTALLS = {
    "not there": "RUN pip install -r requirements-lock.txt",
    "too late": "RUN pip install -r requirements-lock.txt\nCOPY requirements-lock.txt .",
    "elsewhere": "WORKDIR /a\nCOPY requirements-lock.txt /b/\nRUN pip install -r requirements-lock.txt",
    "another file": "COPY . .\nRUN pip install -r requirements.txt",
    "no file": "COPY . .\nRUN pip install pandas",
    "said only": "COPY . .\nRUN echo pip install -r requirements-lock.txt",
    "comment": "COPY . .\n# RUN pip install -r requirements-lock.txt\nRUN pip check",
    "uninstall": "COPY . .\nRUN pip uninstall -r requirements-lock.txt",
    "other stage": "COPY requirements-lock.txt .\nFROM a\nRUN pip install -r requirements-lock.txt",
}


@pytest.mark.parametrize("body", NOT_INSTALLS.values(), ids=NOT_INSTALLS.keys())
def test_does_not_install(tmp_path: Path, body: str) -> None:
    files = {"requirements.txt": "pandas\n"}
    assert not _passes(tmp_path, checks.installs, f"FROM a AS b\n{body}\n", LOCK, **files)


def test_installs_follows_an_included_lock_and_minds_dockerignore(tmp_path: Path) -> None:
    text = "FROM a\nCOPY . .\nRUN pip install -r requirements.txt"
    assert _passes(
        tmp_path, checks.installs, text, LOCK, **{"requirements.txt": "-r requirements-lock.txt\n"}
    )
    ignored_lock = {".dockerignore": "*.txt\n"}
    direct = "FROM a\nCOPY . .\nRUN pip install -r requirements-lock.txt"
    assert not _passes(tmp_path, checks.installs, direct, LOCK, **ignored_lock)


STARTS = {
    "folder": 'WORKDIR /app\nCOPY src/ src/\nCMD ["python", "src/train.py"]',
    "folder itself": 'WORKDIR /app\nCOPY src /app/src\nCMD ["python", "-u", "/app/src/train.py", "--n", "5"]',
    "everything": "WORKDIR /app\nCOPY . .\nCMD python src/train.py",
    "one file": 'WORKDIR /app\nCOPY src/train.py .\nCMD ["python", "train.py"]',
    "into workdir": 'WORKDIR /app\nCOPY src/train.py /app\nCMD ["python", "train.py"]',
    "module": 'WORKDIR /app\nCOPY src ./src\nCMD ["python", "-m", "src.train"]',
    "python path": "ENV PYTHONPATH=/x\nCOPY src /x/src\nCMD python -m src.train",
    "entrypoint and cmd": 'WORKDIR /a\nCOPY src src\nENTRYPOINT ["python"]\nCMD ["src/train.py"]',
    "entrypoint": 'WORKDIR /a\nCOPY src src\nENTRYPOINT ["python", "src/train.py"]',
    "cmd before entrypoint": 'WORKDIR /a\nCOPY src src\nCMD ["src/train.py"]\nENTRYPOINT ["python"]',
    "exec": "WORKDIR /a\nCOPY src src\nCMD exec python src/train.py",
    "shell": 'WORKDIR /a\nCOPY src src\nCMD ["sh", "-c", "cd src && python train.py"]',
    "from the builder": 'FROM b\nWORKDIR /a\nCOPY --from=b /w/src ./src\nCMD ["python", "src/train.py"]',
    "tini": 'WORKDIR /a\nCOPY src src\nENTRYPOINT ["tini", "--"]\nCMD ["/v/bin/python", "src/train.py"]',
    "variable": 'ENV H=/h\nWORKDIR ${H}\nCOPY src $H/src\nCMD python "$H/src/train.py"',
    "script": 'WORKDIR /a\nCOPY . .\nENTRYPOINT ["./run.sh"]\nCMD ["python", "src/train.py"]',
    "script that runs it": 'WORKDIR /a\nCOPY . .\nCMD ["bash", "start.sh"]',
    "make": 'WORKDIR /a\nCOPY . .\nCMD ["make", "train"]',
    "make of an included file": 'WORKDIR /a\nCOPY . .\nCMD ["make", "fit"]',
    "heredoc": (
        'WORKDIR /a\nCOPY src src\nCOPY --chmod=755 <<"EOF" /bin/go\n#!/bin/sh\npython src/train.py "$@"\n'
        'EOF\nENTRYPOINT ["go"]\nCMD ["--n", "5"]'
    ),
    "heredoc into a folder": (
        "WORKDIR /a\nCOPY src src\nCOPY <<go.sh ./\npython src/train.py\ngo.sh\nCMD sh /a/go.sh"
    ),
    "heredoc of the builder": (
        "COPY <<-E /g\n\tpython src/train.py\n\tE\nFROM a\nCOPY --from=1 /g /\nCOPY src src\nCMD sh g"
    ),
    "heredoc of cat": (
        "WORKDIR /a\nCOPY src src\nRUN cat > go.sh <<'E' && chmod +x go.sh\nexec python src/train.py\nE\n"
        'CMD ["./go.sh"]'
    ),
    "cat of a heredoc": "COPY src src\nRUN cat <<E > /go.sh\npython src/train.py\nE\nCMD bash /go.sh",
    "printf": (
        "COPY src src\nRUN printf '#!/bin/sh\\npython src/train.py\\n' > /g && chmod +x /g\nCMD [\"/g\"]"
    ),
    "echo": 'COPY src src\nRUN echo -e "#!/bin/sh\\npython \\"src/train.py\\"" > go.sh\nCMD sh go.sh',
    "echoes": (
        "COPY src src\nRUN echo '#!/bin/sh' > go.sh && echo 'python src/train.py' >> go.sh\nCMD sh go.sh"
    ),
    "executable": 'COPY --chmod=755 src/train.py /bin/\nCMD ["/bin/train.py"]',
    "parents": "WORKDIR /a\nCOPY --parents src/train.py ./\nCMD python src/train.py",
    "glob": "WORKDIR /a\nCOPY src/*.py ./\nCMD python train.py",
}
SCRIPTS = {
    "Makefile": "train:\n\tpython src/train.py\ninclude make/*.mk\n",
    "make/more.mk": "fit:\n\tpython src/train.py\n",
    "run.sh": 'set -e\nexec "$@"\n',
    "start.sh": "#!/bin/sh\npython src/train.py\n",
}


@pytest.mark.parametrize("body", STARTS.values(), ids=STARTS.keys())
def test_starts(tmp_path: Path, body: str) -> None:
    text = f"FROM a AS b\nWORKDIR /w\nCOPY . .\nFROM a\n{body}\n"
    assert _passes(tmp_path, checks.copies, text, TRAIN, **SCRIPTS)
    assert _passes(tmp_path, checks.starts, text, TRAIN, **SCRIPTS)


NOT_STARTS = {
    "nothing": "COPY src src",
    "wrong place": 'WORKDIR /app\nCOPY src/train.py .\nCMD ["python", "src/train.py"]',
    "other script": 'COPY src src\nCMD ["python", "src/api.py"]',
    "no longer": 'WORKDIR /a\nCOPY src src\nCMD ["python", "src/train.py"]\nCMD ["bash"]',
    "entrypoint in shell form": "WORKDIR /a\nCOPY src src\nENTRYPOINT python\nCMD src/train.py",
    "heredoc that prints": (
        'COPY src src\nCOPY --chmod=755 <<E /bin/go\n#!/bin/sh\necho python src/train.py\nE\nCMD ["go"]'
    ),
    "echo that prints": "COPY src src\nRUN echo 'echo python src/train.py' > go.sh\nCMD sh go.sh",
    "echo over it": (
        "COPY src src\nRUN echo 'python src/train.py' > go.sh\nRUN echo 'exit 0' > go.sh\nCMD sh go.sh"
    ),
    "heredoc from where it is not": "COPY src /a/src\nCOPY <<E /go.sh\npython src/train.py\nE\nCMD sh go.sh",
    "not json": "WORKDIR /a\nCOPY src src\nCMD ['python', 'src/train.py']",
    "workdir": 'WORKDIR /a\nCOPY src src\nWORKDIR /a/src\nCMD ["python", "src/train.py"]',
    "healthcheck": 'COPY src src\nHEALTHCHECK CMD ["python", "src/train.py"]',
    "no shell": 'ENV H=/h\nCOPY src /h/src\nCMD ["python", "$H/src/train.py"]',
}


@pytest.mark.parametrize("body", NOT_STARTS.values(), ids=NOT_STARTS.keys())
def test_does_not_start(tmp_path: Path, body: str) -> None:
    text = f"FROM a\n{body}\n"
    assert _passes(tmp_path, checks.copies, text, TRAIN)
    assert not _passes(tmp_path, checks.starts, text, TRAIN)


@pytest.mark.parametrize(
    "text",
    ["FROM a AS b\nCOPY src src\nFROM a\nCMD python src/train.py", "FROM a\nCOPY src/config.py src/"],
)
def test_copies_looks_at_the_final_stage(tmp_path: Path, text: str) -> None:
    assert not _passes(tmp_path, checks.copies, text, TRAIN)


def test_scripts_that_call_themselves_end(tmp_path: Path) -> None:
    loop = {"run.sh": './run.sh "$@" "$@" "$@"\n' * 2000}
    text = 'FROM a\nWORKDIR /a\nCOPY . .\nCMD ["./run.sh", "x"]'
    assert not _passes(tmp_path, checks.starts, text, TRAIN, **loop)


def test_an_entrypoint_drops_the_inherited_command(tmp_path: Path) -> None:
    text = 'FROM a AS b\nWORKDIR /a\nCOPY src src\nCMD ["src/train.py"]\nFROM b\nENTRYPOINT ["python"]'
    assert not _passes(tmp_path, checks.starts, text, TRAIN)
    assert _passes(tmp_path, checks.starts, text + '\nCMD ["src/train.py"]', TRAIN)


BUILD = {
    "honest": dedent(HONEST),
    "url and heredoc": "FROM a\nADD https://example.org/x /x\nCOPY <<EOF /y\nhi\nEOF\n",
    "image": "FROM a\nCOPY --from=ghcr.io/astral-sh/uv:0.5 /uv /bin/\nCOPY --from=nginx /x /x",
    "dot": "FROM a\nCOPY . .\nCOPY ./src/ ./\nCOPY /src /x",
    "glob": "FROM a\nCOPY requirements*.txt s?c /x/",
}


@pytest.mark.parametrize("text", BUILD.values(), ids=BUILD.keys())
def test_builds_as_far_as_reading_tells(tmp_path: Path, text: str) -> None:
    outcome = _decide(tmp_path, checks.builds, text, BUILDS)
    assert outcome.verdict is Verdict.PASSED
    assert outcome.findings[0].message == "the Dockerfile was only read, not built: --static builds no image"


BROKEN = {
    "typo in a stage": (
        "FROM a AS builder\nFROM a\nCOPY --from=bulider /a /a",
        "no earlier stage is called bulider",
    ),
    "later stage": ("FROM a\nCOPY --from=b /a /a\nFROM a AS b", "no earlier stage is called b"),
    "index": ("FROM a\nFROM a\nCOPY --from=1 /a /a", "no earlier stage is called 1"),
    "missing source": ("FROM a\nCOPY configs/ /c/", "configs/ is not in the build context"),
    "missing mount": ("FROM a\nRUN --mount=type=bind,source=x.txt,target=/x cat /x", "x.txt is not"),
    "unknown": ("FROM a\nCOPPY . .", "unknown instruction"),
    "from": ("FROM a AS\nRUN x", "FROM takes"),
    "no destination": ("FROM a\nCOPY x", "needs a source and a destination"),
    "order": ("WORKDIR /a\nFROM a", "before the first FROM"),
    "no image": ("FROM $NONE\nRUN x", "names no image"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_does_not_build(tmp_path: Path, text: str, message: str) -> None:
    outcome = _decide(tmp_path, checks.builds, text, BUILDS)
    assert outcome.verdict is Verdict.FAILED
    assert message in outcome.findings[0].message


def test_dockerignore_counts(tmp_path: Path) -> None:
    text = "FROM a\nCOPY src/train.py ."
    outcome = _decide(tmp_path, checks.builds, text, BUILDS, **{".dockerignore": "src\n"})
    assert ".dockerignore excludes it" in outcome.findings[0].message
    again = {".dockerignore": "*\n!src/train.py\n"}
    assert _passes(tmp_path, checks.builds, text, BUILDS, **again)
    own = {".dockerignore": "src\n", "Dockerfile.train.dockerignore": "data\n"}
    assert _passes(tmp_path, checks.builds, text, BUILDS, **own)


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "docs/a/README.md", True),
        ("**/*.md", "README.md", True),
        ("**.md", "docs/README.md", True),
        ("docs", "docs/a/b.md", True),
        ("docs/**", "docs/a/b.md", True),
        ("/docs/", "docs/a/b.md", True),
        ("**", "a/b", True),
        ("*\n!a/b", "a/b", False),
        ("*\n!a", "a/b", False),
        ("!a\n*", "a", True),
        ("# a\na", "a", True),
        ("[^a]b", "cb", True),
        ("[^a]b", "ab", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a?", "ab", True),
        ("*/temp*", "x/temporary.txt", True),
        ("[z-a]\n[", "z", False),
        ("**/**/**/x", "a/b/c", False),
    ],
)
def test_dockerignore_patterns(patterns: str, path: str, *, expected: bool) -> None:
    assert ignored(path, ignore_patterns(patterns)) is expected


def test_sources_of_a_context() -> None:
    context = BuildContext(("a/x.py", "a/b/y.py", "z.txt"), ("a/b",))
    assert context.source("./z.txt") == ("file", (("z.txt", "z.txt"),))
    assert context.source("a/") == ("directory", (("a/x.py", "x.py"),))
    assert context.source("*.txt") == ("glob", (("z.txt", "z.txt"),))
    assert context.source("a/b") == ("", ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A", "1"),
        ("${A}x", "1x"),
        ("${N:-d}", "d"),
        ("${N:-${A}}", "1"),
        ("${A:+y}", "y"),
        ("${N:+y}", ""),
        ("'$A'", "$A"),
        ('"$A b"', "1 b"),
        (r"\$A", "$A"),
        ("$N", ""),
        ("${E-d}${E:-d}", "d"),
        ("${", "${"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "E": ""}) == expected


def _request(root: Path, text: str) -> Request:
    files: dict[str, str | bytes] = {"Dockerfile.train": text, "a": "", "b": "", ".dockerignore": "b\n"}
    context = make_context(root, files, deliverables={"dockerfile": "Dockerfile.train"})
    dockerfile = dockerfile_facts.read_dockerfile(context, file="dockerfile")
    assert isinstance(dockerfile, dockerfile_facts.Dockerfile)
    ignoring = BuildContext((".dockerignore", "Dockerfile.train", "a", "b"), ("b",))
    return image_build.request(context, dockerfile, ignoring, keep=["python"], control=["true"])


def test_what_the_engine_is_given(tmp_path: Path) -> None:
    text = """\
        # escape=\\
        ARG T=3.11-slim
        FROM python:${T} AS one
        RUN a \\
            b

        # unused
        FROM alpine:3 AS test
        RUN false
        FROM one
        COPY --from=busybox:1 /bin/true /x
    """
    request = _request(tmp_path, text)
    assert request.files == {".dockerignore": tmp_path / ".dockerignore", "a": tmp_path / "a"}
    assert (request.images, request.keep) == (("python:3.11-slim", "busybox:1"), ("python:3.11-slim",))
    assert [(step.text, step.line) for step in request.steps] == [
        ("# escape=\\\nARG T=3.11-slim\n", 2),
        ("FROM python:${T} AS one\n", 3),
        ("", 0),
        ("RUN a \\\n    b\n\n# unused\n", 4),
        ("FROM scratch AS test\n", 8),
        ("", 0),
        ("FROM one\n", 10),
        ("", 0),
        ("COPY --from=busybox:1 /bin/true /x\n\n", 11),
    ]


@pytest.mark.parametrize(
    ("text", "buildkit", "images"),
    [
        (
            "# syntax=docker/dockerfile:1\nFROM a\nRUN --mount=type=cache,target=/c x",
            True,
            ("a", "docker/dockerfile:1"),
        ),
        ("# syntax=docker/dockerfile:1\nFROM a\nRUN x", False, ("a",)),
        ("FROM a\n# syntax=b\nCOPY --chmod=755 a /a", True, ("a",)),
        ("FROM a\nRUN <<E\nx\nE\n", True, ("a",)),
        ("FROM a AS x\nRUN --mount=type=cache,target=/c x\nFROM a", False, ("a",)),
    ],
)
def test_what_takes_buildkit(tmp_path: Path, text: str, buildkit: bool, images: tuple[str, ...]) -> None:
    request = _request(tmp_path, text)
    assert (request.buildkit, request.images) == (buildkit, images)


def test_an_engine_may_be_too_old(tmp_path: Path) -> None:
    text = "FROM a\nRUN <<E\nx\nE\nCOPY --link a /a\n"
    for syntax, version, wanted in (
        ("", "20.10.24+dfsg1", "heredoc, link"),
        ("", "27.1", ""),
        ("# syntax=docker/dockerfile:1\n", "20.10", ""),
    ):
        context = make_context(
            tmp_path, {"Dockerfile.train": syntax + text}, deliverables={"dockerfile": "Dockerfile.train"}
        )
        dockerfile = dockerfile_facts.read_dockerfile(context, file="dockerfile")
        assert isinstance(dockerfile, dockerfile_facts.Dockerfile)
        assert image_build.too_new(dockerfile, Engine(address="", version=version)) == wanted


@pytest.mark.parametrize("ours", [False, True])
def test_a_parser_that_dies(ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the text it is the candidate's, and by itself it is ours."""
    dying = "import os, sys\nif b'DIE' in sys.stdin.buffer.peek(): os.abort()\n"
    monkeypatch.setattr(dockerfile_facts, "_PARSER", dying.replace("DIE", "" if ours else "DIE") + _PARSER)
    submission = make_submission(tmp_path, {"Dockerfile": "FROM a\nRUN DIE\n"})
    file = submission.file("Dockerfile")
    assert file is not None
    if ours:
        with pytest.raises(GraderFault, match="the Dockerfile parser failed"):
            dockerfile_facts.parse(file)
    else:
        assert dockerfile_facts.parse(file) == Problem(
            "Dockerfile", "not a valid Dockerfile: parsing it did not finish"
        )


def test_an_answer_that_is_cut_off_is_the_candidates(tmp_path: Path) -> None:
    text = "FROM a\n" + "RUN " + "\x01" * 99_000 + "\n"
    file = make_submission(tmp_path, {"Dockerfile": text}).file("Dockerfile")
    assert file is not None
    assert not isinstance(dockerfile_facts.parse(file), Exception)


def test_what_is_written_line_by_line_is_bounded(tmp_path: Path) -> None:
    many = "RUN " + " && ".join(["echo 'true' >> go.sh"] * 3_000)
    text = f"FROM a\nCOPY src src\n{many} && echo 'python src/train.py' >> go.sh\nCMD sh go.sh"
    assert not _passes(tmp_path, checks.starts, text, TRAIN)
