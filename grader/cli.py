"""The commands: parse, call, print. No logic."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from grader import __version__
from grader.cohort.exports.forms import FORMS
from grader.cohort.gradebook.standing import ONLY
from grader.corpus.report import WRITERS
from grader.error_handler import INTERRUPTED, end_now, exit_code_of, interrupt
from grader.report.console import tolerate
from grader.report.formats import FORMATS

app = typer.Typer(
    name="grader",
    help="Grade submissions to a hands-on MLOps exam.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
rubric = typer.Typer(
    help="Look at an exam's rubrics, or check them.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(rubric, name="rubric")
exam_ = typer.Typer(help="Write an exam.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(exam_, name="exam")
github = typer.Typer(
    help="Tell GitHub about a grade, in a workflow.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(github, name="github")
cache_ = typer.Typer(
    help="Look at what is kept between grades (environments, wheels, seeds), or remove it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cache_, name="cache")
gradebook_ = typer.Typer(
    help="Look at a cohort's marks, change them with a reason, hand them out.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(gradebook_, name="gradebook")
cluster = typer.Typer(help="Grade on several machines.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cluster, name="cluster")

MAX_OPEN_FILES = 2**16
"""More is of no use, and some programs walk through all numbers up to the limit that they inherit."""

if TYPE_CHECKING:
    Format = str
    ExportForm = str
    VerificationFormat = str
else:  # a form more is a choice more
    Format = Literal[tuple(FORMATS)]
    ExportForm = Literal[tuple(FORMS)]
    VerificationFormat = Literal[tuple(WRITERS)]

ExamOption = Annotated[
    Path | None,
    typer.Option("--exam", metavar="DIR", help="Directory with exam.yaml; default: the bundled exam."),
]
IsolationOption = Annotated[
    Literal["bubblewrap", "docker", "none"],
    typer.Option(help="Sandbox for candidate code; `none` runs it unsandboxed, as you."),
]
ReportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--report", metavar="FORMAT=FILE", help="Also write a report in this format to FILE (repeatable)."
    ),
]
GradeArgument = Annotated[
    Path, typer.Argument(metavar="GRADE.json", help="What `grader score --format json` wrote.")
]
PreviousOption = Annotated[
    Path | None,
    typer.Option(
        "--previous", metavar="GRADE.json", help="An earlier grade, as JSON: also report what changed."
    ),
]
GradebookOption = Annotated[
    Path,
    typer.Option("--gradebook", "-g", metavar="FILE", help="The gradebook's file; made where there is none."),
]
BookOption = Annotated[
    Path,
    typer.Option("--gradebook", "-g", metavar="FILE", help="The gradebook, as `grader batch` made it."),
]
AnonymousOption = Annotated[
    bool, typer.Option("--anonymous", help="Show numbers instead of names; the same ones each time.")
]
CandidateArgument = Annotated[
    str, typer.Argument(metavar="CANDIDATE", help="Key, e-mail or name, or a part of it.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", "-r", metavar="TEXT", help="Why: candidates and colleagues will ask.")
]
AuthorOption = Annotated[
    str, typer.Option("--author", metavar="NAME", help="Who decides it; default: your login name.")
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Exit with 3 while any criterion is undecided, not only the verdict."),
]
ColourOption = Annotated[
    Literal["auto", "always", "never"],
    typer.Option("--color", help="Colors; auto obeys NO_COLOR, FORCE_COLOR and the terminal."),
]


def main() -> None:
    """The `grader` command."""
    raise_file_limit()
    tolerate((sys.stdout, sys.stderr))
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if stop != signal.SIGHUP or signal.getsignal(stop) != signal.SIG_IGN:  # as `nohup` leaves it
            signal.signal(stop, interrupt)
    code = exit_code_of(lambda: app(standalone_mode=False))
    if code == INTERRUPTED:
        end_now(code)
    sys.exit(code)


def raise_file_limit() -> None:
    """Raise this process's limit on open files: each run holds a dozen, each connection two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grader {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def score(
    submission: Annotated[
        str,
        typer.Argument(
            metavar="SUBMISSION", help="Folder, .zip or .tar.gz archive, git URL, or REPOSITORY@REVISION."
        ),
    ],
    exam: ExamOption = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="ID",
            help="Grade only these tasks or criteria: 4.1 or 4.1,4.2.requests (repeatable).",
        ),
    ] = None,
    section: Annotated[
        list[str] | None,
        typer.Option("--section", metavar="ID", help="Grade only these sections (repeatable)."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Random seed for generated data, models and runs (never changes the score).",
        ),
    ] = 0,
    isolation: IsolationOption = "bubblewrap",
    static: Annotated[
        bool, typer.Option("--static", help="Only read the submission; run no candidate code.")
    ] = False,
    strict: StrictOption = False,
    fail_under: Annotated[
        float | None, typer.Option(metavar="POINTS", min=0, help="Pass mark to use instead of the exam's.")
    ] = None,
    fail_on_loss: Annotated[
        bool,
        typer.Option(
            "--fail-on-loss", help="Exit with 1 if any point is lost, else with 0, whatever is undecided."
        ),
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = "text",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Also write the report to FILE; - is standard output."
        ),
    ] = None,
    report: ReportOption = None,
    previous: PreviousOption = None,
    color: ColourOption = "auto",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show only the total, and no progress.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Also show what was earned, the files taken, and all details."),
    ] = False,
    solution: Annotated[
        bool,
        typer.Option("--solution", help="Also show, as a diff to the reference solution, what was lost."),
    ] = False,
    only_lost: Annotated[
        Path | None,
        typer.Option(
            "--only-lost", metavar="GRADE.json", help="Grade only the tasks that lost points in this grade."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Keep going: grade again what a saved file can change, as it is saved."),
    ] = False,
    timings: Annotated[bool, typer.Option("--timings", help="Also print where the time went.")] = False,
) -> None:
    """Grade one submission.

    Exit status: 0 passed, 1 not passed, 2 the submission, an option or a rubric is unusable,
    3 the verdict depends on criteria that could not be decided on this machine, 130 interrupted.
    """
    from grader.commands.score import score_command, tasks_with_losses
    from grader.errors import UsageError
    from grader.report.formats import parse_report
    from grader.session import STATIC, Options

    if only_lost is not None and (task or section):
        raise UsageError("--only-lost names the tasks itself: leave out --task and --section")
    options = Options(
        exam=exam,
        tasks=tuple(task or ()) if only_lost is None else tasks_with_losses(only_lost),
        sections=tuple(section or ()),
        seed=seed,
        pass_mark=fail_under,
        isolation=STATIC if static else isolation,
        solution=solution,
    )
    if watch:
        from grader.commands.watch import watch_command

        watch_command(submission, options, quiet=quiet, verbose=verbose, colour=color)
        return
    code = score_command(
        submission,
        options,
        form=format_,
        output=output,
        quiet=quiet,
        verbose=verbose,
        timings=timings,
        reports=[parse_report(word) for word in report or ()],
        previous=previous,
        strict=strict,
        fail_on_loss=fail_on_loss,
        colour=color,
    )
    raise typer.Exit(code)


@app.command("report")
def report_(
    grade: GradeArgument,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Output format; default: text, or nothing where --report is given."),
    ] = None,
    report: ReportOption = None,
    previous: PreviousOption = None,
    strict: StrictOption = False,
    color: ColourOption = "auto",
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Also show what was earned, the files taken, and all details."),
    ] = False,
) -> None:
    """Report an earlier grade in other formats, without grading again.

    Exit status: as of `grader score`.
    """
    from grader.commands.report import report_command
    from grader.report.formats import parse_report

    code = report_command(
        grade,
        form=format_ or "",
        reports=[parse_report(word) for word in report or ()],
        previous=previous,
        verbose=verbose,
        strict=strict,
        colour=color,
    )
    raise typer.Exit(code)


@app.command()
def explain(
    criterion: Annotated[
        list[str], typer.Argument(metavar="CRITERION...", help="Criteria or tasks: 4.2.requests, 4.1.")
    ],
    exam: ExamOption = None,
    solution: Annotated[
        bool, typer.Option("--solution", help="Also show the reference solution's files.")
    ] = False,
) -> None:
    """Explain a criterion: what decides it, and how it is usually lost."""
    from grader.commands.explain import explain_command

    raise typer.Exit(explain_command(criterion, exam, solution=solution))


@app.command()
def verify(
    exam: ExamOption = None,
    only: Annotated[
        str, typer.Option(metavar="PATTERN", help="Only these cases: a task, a glob or part of a name.")
    ] = "",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", min=0, help="Parallel cases (0 = automatic).")
    ] = 0,
    full: Annotated[
        bool,
        typer.Option("--full", help="Grade every task of every case, not only those that it can affect."),
    ] = False,
    static: Annotated[
        bool,
        typer.Option("--static", help="Only cases that can be graded without running candidate code (fast)."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for generated data, models and runs.")] = 0,
    isolation: IsolationOption = "bubblewrap",
    format_: Annotated[VerificationFormat, typer.Option("--format", help="Output format.")] = "text",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also write the results to FILE, as JSON."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also list the cases that agree.")] = False,
) -> None:
    """Prove the rubrics on known defects and honest variants.

    It grades the reference solution and every case of the exam's corpus.

    Exit status: 0 every case lost exactly what it must, 1 some case did not, 2 an option, rubric or case
    is unusable, 3 some case could not be decided on this machine, 130 interrupted.
    """
    from grader.commands.verify import verify_command
    from grader.session import Options

    # Whether an image builds is proved by reading: the same on every machine, and in seconds.
    without = frozenset({"docker"}) if isolation != "docker" else frozenset()
    options = Options(exam=exam, seed=seed, isolation=isolation, without=without)
    code = verify_command(
        options,
        only=only,
        jobs=jobs,
        full=full,
        static=static,
        form=format_,
        output=output,
        verbose=verbose,
    )
    raise typer.Exit(code)


@app.command()
def batch(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A folder of submissions, or what a learning platform lets you download."
        ),
    ],
    gradebook: GradebookOption = Path("gradebook.db"),
    exam: ExamOption = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", min=0, help="Submissions at a time (0 = automatic).")
    ] = 0,
    mapping: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="PATTERN|ROSTER",
            help="Whose is what: a regular expression over names with the group (?P<key>...), or a roster.",
        ),
    ] = "",
    deadline: Annotated[
        str, typer.Option(metavar="TIME", help="What comes later is late: 2026-02-01T18:00+01:00.")
    ] = "",
    only: Annotated[
        str, typer.Option(metavar="PATTERN", help="Only candidates whose key, name or e-mail is like this.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be graded.")] = False,
    canaries: Annotated[
        bool,
        typer.Option(
            help="Also grade submissions whose grade is known, to see that this machine grades rightly."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for generated data, models and runs.")] = 0,
    isolation: IsolationOption = "bubblewrap",
    static: Annotated[
        bool, typer.Option("--static", help="Only read the submissions; run no candidate code.")
    ] = False,
    which: Annotated[
        str,
        typer.Option(
            metavar="latest|best|TAG",
            help="Which submission of a candidate counts, from now on (at first, the latest).",
        ),
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Also grade again what could not be decided before.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    on: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS|FILE",
            help="Grade on a Dask cluster: its scheduler's address, like tls://host:8786, or its file.",
        ),
    ] = "",
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The cluster's keys, as `grader cluster keys` made them."),
    ] = None,
    allow_mixed: Annotated[
        bool,
        typer.Option("--allow-mixed", help="On a cluster, also use workers that differ from each other."),
    ] = False,
) -> None:
    """Grade many submissions into a gradebook; run again, it goes on where it was.

    Once the exam or the grader changed, only the tasks are graded again that the change concerns.
    What the grader failed at is tried again each time, and what needs a tool once this machine has it.

    Exit status: 0 all graded and complete, 2 something is unusable, 3 some are undecided or unreadable,
    4 this machine graded a known submission wrongly, 130 interrupted.
    """
    from grader.commands.batch import batch_command
    from grader.session import STATIC, Options

    options = Options(exam=exam, seed=seed, isolation=STATIC if static else isolation)
    code = batch_command(
        source,
        options,
        gradebook=gradebook,
        jobs=jobs,
        mapping=mapping,
        deadline=deadline,
        only=only,
        dry_run=dry_run,
        canaries=canaries,
        which=which,
        again=again,
        quiet=quiet,
        on=on,
        keys=keys,
        mixed=allow_mixed,
    )
    raise typer.Exit(code)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
    exam: ExamOption = None,
) -> None:
    """Create a folder to answer the exam in.

    It holds the exam's text, the given data and an annotated submission.yaml.
    """
    from grader.commands.init import init_command

    raise typer.Exit(init_command(directory, exam))


@app.command()
def export(
    candidate: Annotated[
        Path,
        typer.Option("--candidate", metavar="DIR", help="The folder to create: a project for `pip install`."),
    ],
    exam: ExamOption = None,
) -> None:
    """Write the edition for candidates: the grader with one exam, and nothing that answers it.

    It holds no reference solution, no corpus and no notes for authors, and grades all the same.
    """
    from grader.commands.exam import export_command

    raise typer.Exit(export_command(candidate, exam))


@app.command()
def doctor(
    exam: ExamOption = None,
    isolation: Annotated[
        Literal["", "bubblewrap", "docker", "none"],
        typer.Option(help="Only say whether candidate code can be isolated like this; exits with 2 if not."),
    ] = "",
) -> None:
    """Show this machine's tools, and what depends on each."""
    from grader.commands.doctor import doctor_command, isolation_command

    raise typer.Exit(isolation_command(isolation) if isolation else doctor_command(exam))


@github.command("step")
def github_step(
    grade: GradeArgument,
    previous: PreviousOption = None,
    folder: Annotated[
        str, typer.Option(metavar="PATH", help="The submission's folder in the repository.")
    ] = "",
    feedback: Annotated[bool, typer.Option("--feedback", help="Say that this is no mark.")] = False,
) -> None:
    """Annotate files, and write the step's summary and outputs."""
    from grader.commands.github import step_command

    raise typer.Exit(step_command(grade, previous=previous, folder=folder, feedback=feedback))


@github.command("comment")
def github_comment(
    artifact: Annotated[
        str, typer.Option(metavar="NAME", help="The artifact that holds the grade.")
    ] = "grade",
    author: Annotated[
        str, typer.Option(metavar="LOGIN", help="Whom the token comments as.")
    ] = "github-actions[bot]",
) -> None:
    """In a workflow on `workflow_run`: comment on the pull request, or change the comment.

    The token is read from GITHUB_TOKEN and needs `actions: read` and `pull-requests: write`.
    """
    from grader.commands.github import comment_command

    raise typer.Exit(comment_command(artifact=artifact, author=author))


@github.command("check")
def github_check(
    grade: GradeArgument,
    repository: Annotated[str, typer.Option(metavar="OWNER/NAME", help="The candidate's repository.")],
    commit: Annotated[str, typer.Option(metavar="DIGEST", help="The commit that was graded.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="The name of the check.")] = "grade",
    previous: PreviousOption = None,
) -> None:
    """Post a grade as a check run.

    The token is read from GITHUB_TOKEN and needs `checks: write`.
    """
    from grader.commands.github import check_command

    raise typer.Exit(check_command(grade, repository=repository, commit=commit, name=name, previous=previous))


@cache_.command("show")
def cache_show(
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """Show what is cached: how many of each kind, how large, when it was used last."""
    from grader.commands.cache import show_command

    raise typer.Exit(show_command(form))


@cache_.command("prune")
def cache_prune(
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Remove what was not used for so long: 12h, 30d, 8w.")
    ] = "",
    max_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Remove the oldest until all is no larger: 500M, 20G.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove what was not used for long, or too much. What is in use stays.

    GRADER_CACHE_MAX=20G has the same done before anything is built.
    """
    from grader.commands.cache import prune_command

    raise typer.Exit(prune_command(older_than=older_than, max_size=max_size, dry_run=dry_run))


@cache_.command("clear")
def cache_clear(
    kind: Annotated[list[str] | None, typer.Argument(metavar="[KIND...]", help="Default: all kinds.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove everything, or all of some kinds. What is in use stays."""
    from grader.commands.cache import clear_command

    raise typer.Exit(clear_command(kind or (), dry_run=dry_run))


@cluster.command("keys")
def cluster_keys(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
) -> None:
    """Make the keys with which a cluster's machines know each other. They are good for a year."""
    from grader.commands.cluster import keys_command

    raise typer.Exit(keys_command(directory))


@app.command()
def serve(
    gradebook: Annotated[
        Path, typer.Argument(metavar="[GRADEBOOK]", help="The gradebook, as `grader batch` made it.")
    ] = Path("gradebook.db"),
    host: Annotated[str, typer.Option(help="Address to serve at; others than this machine see it all.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port (0 = one that is free).")] = 8765,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show, and change nothing.")] = False,
    anonymous: AnonymousOption = False,
    author: Annotated[
        str, typer.Option("--author", metavar="NAME", help="Who decides; default: the user.")
    ] = "",
    exam: ExamOption = None,
) -> None:
    """Show a gradebook in a browser: look, decide, grade.

    It writes an address that lets one browser in, once. Ctrl-C ends it.
    """
    from grader.commands.serve import serve_command

    serve_command(
        gradebook, host=host, port=port, read_only=read_only, anonymous=anonymous, author=author, exam=exam
    )


@gradebook_.command("show")
def gradebook_show(
    gradebook: BookOption = Path("gradebook.db"),
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="WHAT", help=f"Only who is any of these (repeatable): {', '.join(ONLY)}."
        ),
    ] = None,
    find: Annotated[
        str, typer.Option("--find", metavar="TEXT", help="Only who has this in name, key, e-mail or section.")
    ] = "",
    sort: Annotated[
        Literal["name", "key", "section", "mark", "time"], typer.Option("--sort", help="Order of the rows.")
    ] = "name",
    reverse: Annotated[bool, typer.Option("--reverse", help="The last first.")] = False,
    anonymous: AnonymousOption = False,
    form: Annotated[Literal["text", "json", "csv"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """List the candidates: mark, passed or not, and what needs a look."""
    from grader.commands.gradebook import show_command

    code = show_command(
        gradebook, only=only or (), find=find, order=sort, reverse=reverse, anonymous=anonymous, form=form
    )
    raise typer.Exit(code)


@gradebook_.command("candidate")
def gradebook_candidate(
    candidate: CandidateArgument,
    gradebook: BookOption = Path("gradebook.db"),
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also list the criteria that earned their points.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Print the full report of the result that counts instead.")
    ] = False,
    anonymous: AnonymousOption = False,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """Show one candidate: submissions, results, criteria, overrides and flags."""
    from grader.commands.gradebook import candidate_command

    code = candidate_command(
        gradebook, candidate, anonymous=anonymous, verbose=verbose, report=report, form=form
    )
    raise typer.Exit(code)


@gradebook_.command("diff")
def gradebook_diff(
    gradebook: BookOption = Path("gradebook.db"),
    since: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Compare with what counted then: 2026-11-28T09:30; default: before the last batch.",
        ),
    ] = "",
    anonymous: AnonymousOption = False,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """Show whose points moved, by which criteria, and why."""
    from grader.commands.gradebook_diff import diff_command

    raise typer.Exit(diff_command(gradebook, since=since, anonymous=anonymous, form=form))


@gradebook_.command("history")
def gradebook_history(
    candidate: Annotated[
        str, typer.Argument(metavar="[CANDIDATE]", help="Key, e-mail or name, or a part of it; default: all.")
    ] = "",
    gradebook: BookOption = Path("gradebook.db"),
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, help="Only the last N (0 = all).")] = 0,
    anonymous: AnonymousOption = False,
    form: Annotated[Literal["text", "json", "csv"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """Show what was done, when and by whom: the audit trail."""
    from grader.commands.gradebook import history_command

    raise typer.Exit(history_command(gradebook, candidate, last=last, anonymous=anonymous, form=form))


@gradebook_.command("override")
def gradebook_override(
    what: Annotated[str, typer.Argument(metavar="CRITERION", help="A criterion or a task: 4.1.health, 4.1.")],
    points: Annotated[str, typer.Argument(metavar="POINTS", help="From 0 to what it has: 2, 1.5.")],
    reason: ReasonOption,
    candidate: Annotated[
        list[str] | None,
        typer.Option("--candidate", "-c", metavar="WHO", help="Whose: key, e-mail or name (repeatable)."),
    ] = None,
    like: Annotated[
        str,
        typer.Option(
            "--like", metavar="WHO", help="Everybody who lost the criterion in the same way as this one did."
        ),
    ] = "",
    author: AuthorOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whose marks would change.")] = False,
    gradebook: BookOption = Path("gradebook.db"),
    anonymous: AnonymousOption = False,
) -> None:
    """Give a candidate, or all who made the same mistake, other points.

    It stays through every regrade, and is called stale once what it was based on has changed.
    """
    from grader.commands.gradebook_decisions import override_command

    code = override_command(
        gradebook,
        what,
        points,
        candidates=candidate or (),
        like=like,
        reason=reason,
        author=author,
        dry_run=dry_run,
        anonymous=anonymous,
    )
    raise typer.Exit(code)


@gradebook_.command("withdraw")
def gradebook_withdraw(
    override: Annotated[list[int], typer.Argument(metavar="NUMBER...", help="Of overrides, as shown.")],
    group: Annotated[
        bool, typer.Option("--group", help="Also all others that were made for the same mistake.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why.")] = "",
    author: AuthorOption = "",
    gradebook: BookOption = Path("gradebook.db"),
) -> None:
    """Take overrides back: what was graded counts again."""
    from grader.commands.gradebook_decisions import withdraw_command

    raise typer.Exit(withdraw_command(gradebook, override, whole_group=group, reason=reason, author=author))


@gradebook_.command("flag")
def gradebook_flag(
    candidate: Annotated[
        str, typer.Argument(metavar="[CANDIDATE]", help="Key, e-mail or name, or a part of it.")
    ] = "",
    done: Annotated[
        int | None, typer.Option("--done", metavar="NUMBER", help="Instead: this flag is done.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why.")] = "",
    author: AuthorOption = "",
    gradebook: BookOption = Path("gradebook.db"),
    anonymous: AnonymousOption = False,
) -> None:
    """Mark a candidate for a second look, or say that it is done."""
    from grader.commands.gradebook_decisions import flag_command

    code = flag_command(gradebook, candidate, done=done, reason=reason, author=author, anonymous=anonymous)
    raise typer.Exit(code)


@gradebook_.command("verify")
def gradebook_verify(gradebook: BookOption = Path("gradebook.db")) -> None:
    """Prove that a gradebook is sound: marks recompute, no job is lost.

    One from an older grader is brought up to date, and a copy is kept.
    Exit status: 0 sound, 1 something is wrong, 2 it is no gradebook or cannot be read.
    """
    from grader.commands.gradebook_verify import verify_command

    raise typer.Exit(verify_command(gradebook))


@gradebook_.command("stats")
def gradebook_stats(
    gradebook: BookOption = Path("gradebook.db"),
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the intervals.")] = 0,
    anonymous: AnonymousOption = False,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """Show what the marks say of the exam: facility, correlation, reliability, odd criteria."""
    from grader.commands.gradebook_statistics import stats_command

    raise typer.Exit(stats_command(gradebook, seed=seed, anonymous=anonymous, form=form))


@gradebook_.command("similar")
def gradebook_similar(
    gradebook: BookOption = Path("gradebook.db"),
    exam: ExamOption = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="SOURCE", help="Submissions of an earlier cohort (repeatable)."),
    ] = None,
    tree: Annotated[
        Path | None,
        typer.Option("--tree", metavar="DIR", help="Also lay the submissions out for JPlag or Dolos."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Leave out pairs below, 0 to 1.")
    ] = 0.3,
    anonymous: AnonymousOption = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Also keep the pairs in the gradebook, for `grader serve`.")
    ] = False,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="Output format.")] = "text",
) -> None:
    """List pairs of submissions to look at: no verdict, and no mark."""
    from grader.commands.gradebook_statistics import similar_command

    code = similar_command(
        gradebook,
        exam=exam,
        against=against or (),
        tree=tree,
        threshold=threshold,
        anonymous=anonymous,
        keep=keep,
        form=form,
    )
    raise typer.Exit(code)


@gradebook_.command("import")
def gradebook_import(
    kind: Annotated[
        Literal["roster", "overrides"], typer.Argument(metavar="KIND", help="One of roster, overrides.")
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV; a roster may be YAML.")],
    author: AuthorOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    gradebook: BookOption = Path("gradebook.db"),
    anonymous: AnonymousOption = False,
) -> None:
    """Read in who the candidates are, or decisions on points; all of a file or nothing.

    A roster has the column key, and name, email, section, moodle, canvas or github; the platforms' own
    files that `export` fills in are rosters too. Overrides have the columns key, criterion (or task),
    points, reason, and author if you like.

    Exit status: 0 done, 2 nothing was changed, 3 done, but somebody named is in one of both only or unclear.
    """
    from grader.commands.gradebook_import import overrides_command, roster_command

    command = roster_command if kind == "roster" else overrides_command
    raise typer.Exit(command(file, gradebook=gradebook, author=author, dry_run=dry_run, anonymous=anonymous))


@gradebook_.command("export")
def gradebook_export(
    form: Annotated[
        ExportForm | None, typer.Argument(metavar="[FORM]", help=f"One of {', '.join(FORMS)}.")
    ] = None,
    worksheet: Annotated[
        Path | None,
        typer.Argument(metavar="[WORKSHEET]", help="For moodle and canvas: the platform's file to fill in."),
    ] = None,
    gradebook: BookOption = Path("gradebook.db"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The file, or for a file of each candidate the new folder or .zip; a table goes to standard"
            " output without it.",
        ),
    ] = None,
    incomplete: Annotated[
        Literal["refuse", "lowest", "highest", "blank"],
        typer.Option(
            help="How open criteria count: as not earned, as earned, or that candidate gets no mark."
        ),
    ] = "refuse",
    missing: Annotated[
        Literal["blank", "0"], typer.Option(help="The mark of those who handed nothing in.")
    ] = "blank",
    unreadable: Annotated[
        Literal["blank", "0"], typer.Option(help="The mark of those whose submission cannot be read.")
    ] = "blank",
    column: Annotated[
        str, typer.Option(metavar="NAME", help="The column to fill in, where it is not found by itself.")
    ] = "",
    maximum: Annotated[
        float | None,
        typer.Option(metavar="N", help="The platform's maximum grade; default: as its file says."),
    ] = None,
    full: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS", help="The points that are worth the maximum grade; default: all without bonus."
        ),
    ] = None,
    page: Annotated[
        Literal["html", "markdown"], typer.Option(help="For moodle-feedback: what each candidate gets.")
    ] = "html",
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="In place of a form: the pages of `grader serve` as files, and for each candidate a"
            " feedback page.",
        ),
    ] = None,
    anonymous: AnonymousOption = False,
) -> None:
    """Hand out marks, overrides included: in a platform's own file, as tables, as pages.

    Of a platform's file only one column is written. Exit status: 0 everybody has a mark and a row,
    2 nothing was written, 3 written, but somebody named has none.
    """
    from grader.commands.gradebook_export import Choices, copy_command, export_command
    from grader.errors import UsageError

    if html is not None:
        if form is not None:
            raise UsageError(f"--html writes pages in place of {form}: leave out one of the two")
        raise typer.Exit(copy_command(gradebook, html, incomplete=incomplete, anonymous=anonymous))
    if form is None:
        raise UsageError(f"say what to export: {', '.join(FORMS)}, or --html DIR")
    choices = Choices(
        incomplete=incomplete,
        missing=missing,
        unreadable=unreadable,
        column=column,
        maximum=maximum,
        full=full,
        page=page,
        anonymous=anonymous,
    )
    raise typer.Exit(
        export_command(form, gradebook=gradebook, worksheet=worksheet, output=output, choices=choices)
    )


@exam_.command("new")
def exam_new(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
) -> None:
    """Create an exam of two tasks to start from, with all that proves it.

    Each task has a rubric, a reference answer, a known defect and an honest variant.
    """
    from grader.commands.exam import new_command

    raise typer.Exit(new_command(directory))


@rubric.command("lint")
def rubric_lint(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Directory with exam.yaml; default: the bundled exam."),
    ] = None,
) -> None:
    """Check an exam's rubrics: points, names, parameters, needs, hints. Exits with 2 on errors."""
    from grader.commands.rubric import lint_command

    raise typer.Exit(lint_command(directory))


@rubric.command("show")
def rubric_show(
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="The id of a task; default: all tasks.")
    ] = None,
    exam: ExamOption = None,
) -> None:
    """Print what is graded: criteria, points, checks and hints."""
    from grader.commands.rubric import show_command

    raise typer.Exit(show_command(task, exam))


@rubric.command("try")
def rubric_try(
    check: Annotated[str, typer.Argument(metavar="CHECK", help="Such as yaml.value.")],
    submission: Annotated[
        str, typer.Argument(metavar="SUBMISSION", help="Folder, archive, git URL, or REPOSITORY@REVISION.")
    ],
    with_: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="YAML",
            help="The check's parameters. Files may be paths, and a scenario may be written out.",
        ),
    ] = "",
    exam: Annotated[
        Path | None,
        typer.Option("--exam", metavar="DIR", help="An exam whose data, worlds and packages are used."),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            "--task", metavar="ID", help="A task of it whose scenarios and deliverables may be named."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Random seed for generated data, models and runs.")] = 0,
    isolation: IsolationOption = "bubblewrap",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show all details.")] = False,
) -> None:
    """Try a check on a submission, before any rubric has it.

    Exit status: 0 earned, 1 lost, 2 the check, its parameters or the submission are unusable,
    3 not decided on this machine.
    """
    from grader.commands.rubric import try_command
    from grader.session import Options

    options = Options(exam=exam, seed=seed, isolation=isolation)
    raise typer.Exit(try_command(check, with_, submission, options, task=task, verbose=verbose))


@rubric.command("checks")
def rubric_checks(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A check's name, or its part before the dot.")
    ] = None,
    form: Annotated[
        Literal["text", "json", "markdown"], typer.Option("--format", help="Output format.")
    ] = "text",
) -> None:
    """Print every check that a rubric may call: what passes, its parameters and an example."""
    from grader.commands.rubric import checks_command

    raise typer.Exit(checks_command(name, form))


@app.command("help")
def help_(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]", help="Such as `score` or `rubric lint`.")
    ] = None,
) -> None:
    """Show the help of a command, as its --help does."""
    app([*(command or ()), "--help"], prog_name=context.find_root().info_name, standalone_mode=False)


@app.command()
def schema(name: Annotated[Literal["exam", "rubric", "manifest", "result"], typer.Argument()]) -> None:
    """Print a JSON Schema of exams, rubrics, manifests or results.

    The one for rubrics includes the parameters of every check.
    """
    from grader.commands.schema import schema_command

    raise typer.Exit(schema_command(name))
