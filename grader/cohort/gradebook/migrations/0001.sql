-- Points are integers in twentieths. Times are ISO 8601 in UTC.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    section TEXT NOT NULL DEFAULT '',
    number INTEGER NOT NULL UNIQUE -- what stands for the name in anonymous mode; drawn at random
) STRICT;

CREATE TABLE identity (
    candidate INTEGER NOT NULL REFERENCES candidate,
    system TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (system, value, candidate)
) STRICT, WITHOUT ROWID;

CREATE TABLE submission (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL REFERENCES candidate,
    digest TEXT NOT NULL DEFAULT '', -- empty while it is unreadable
    source TEXT NOT NULL, -- what `grader score` takes
    tag TEXT NOT NULL DEFAULT '',
    submitted_at TEXT,
    evidence TEXT NOT NULL DEFAULT '', -- where the time is known from
    found_at TEXT NOT NULL,
    late INTEGER, -- NULL: not known
    unreadable TEXT NOT NULL DEFAULT '', -- why
    UNIQUE (candidate, source, digest)
) STRICT;
CREATE INDEX submission_by_digest ON submission (digest);

-- The key names a result: what is graded, by which exam, grader and options.
CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    submission TEXT NOT NULL, -- a digest
    exam TEXT NOT NULL, -- a digest
    grader TEXT NOT NULL, -- a version
    options TEXT NOT NULL, -- as JSON, keys sorted
    source TEXT NOT NULL, -- where the submission was found last
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'done', 'died')),
    attempt INTEGER NOT NULL DEFAULT 0,
    lease_until TEXT,
    worker TEXT NOT NULL DEFAULT '',
    deaths INTEGER NOT NULL DEFAULT 0, -- workers that ended while they had it
    reason TEXT NOT NULL DEFAULT '', -- what became of the last attempt that failed
    UNIQUE (submission, exam, grader, options)
) STRICT;
CREATE INDEX job_by_state ON job (state);

CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES job,
    score INTEGER NOT NULL,
    lowest INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    possible INTEGER NOT NULL,
    pass_mark INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    seconds REAL NOT NULL,
    worker TEXT NOT NULL,
    at TEXT NOT NULL,
    tasks TEXT NOT NULL, -- as JSON: task -> fingerprint of all that decides it
    reused TEXT NOT NULL DEFAULT '{}', -- as JSON: task -> the earlier result that its rows were taken from
    document BLOB NOT NULL, -- the result document as JSON, compressed by zlib
    void TEXT NOT NULL DEFAULT '' -- why it counts no more
) STRICT;
-- However many attempts there were, one of them counts.
CREATE UNIQUE INDEX result_of_job ON result (job) WHERE void = '';

CREATE TABLE criterion (
    result INTEGER NOT NULL REFERENCES result,
    task TEXT NOT NULL,
    criterion TEXT NOT NULL,
    status TEXT NOT NULL,
    earned INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    possible INTEGER NOT NULL,
    seconds REAL NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '', -- of its findings: equal for those who lost it in the same way
    PRIMARY KEY (result, criterion)
) STRICT, WITHOUT ROWID;
CREATE INDEX criterion_by_finding ON criterion (criterion, fingerprint);

CREATE TABLE override (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL REFERENCES candidate,
    task TEXT NOT NULL,
    criterion TEXT NOT NULL DEFAULT '', -- empty: the whole task
    points INTEGER NOT NULL,
    author TEXT NOT NULL CHECK (author <> ''),
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),
    at TEXT NOT NULL,
    based_on INTEGER REFERENCES result, -- NULL: there was none yet
    basis TEXT NOT NULL DEFAULT '', -- digest of what was overridden: statuses, points, findings
    withdrawn_at TEXT,
    withdrawn_by TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX override_by_candidate ON override (candidate);

CREATE TABLE flag (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL REFERENCES candidate,
    author TEXT NOT NULL CHECK (author <> ''),
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),
    at TEXT NOT NULL,
    done_at TEXT,
    done_by TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL, -- a word, such as `override`
    candidate INTEGER REFERENCES candidate,
    data TEXT NOT NULL DEFAULT '{}' -- as JSON
) STRICT;

-- The newest result that counts, of each submission that has one.
CREATE VIEW graded AS
SELECT submission.id AS submission, submission.candidate, max(result.id) AS result
FROM submission
JOIN job ON job.submission = submission.digest AND submission.digest <> ''
JOIN result ON result.job = job.id AND result.void = ''
GROUP BY submission.id;

-- Which submission counts: the one that was named, the best, or the latest in time. What was handed in late
-- counts only where there is nothing else.
CREATE VIEW chosen AS
SELECT candidate, submission, result FROM (
    SELECT graded.candidate, graded.submission, graded.result, row_number() OVER (
        PARTITION BY graded.candidate
        ORDER BY
            submission.tag = (SELECT value FROM setting WHERE name = 'tag') DESC,
            coalesce(submission.late, 0),
            CASE WHEN (SELECT value FROM setting WHERE name = 'which') = 'best' THEN result.score END DESC,
            coalesce(submission.submitted_at, submission.found_at) DESC,
            submission.id DESC
    ) AS place
    FROM graded
    JOIN submission ON submission.id = graded.submission
    JOIN result ON result.id = graded.result
) WHERE place = 1;

-- Of each candidate and criterion or whole task, the newest override that was not withdrawn.
CREATE VIEW live_override AS
SELECT * FROM override
WHERE id IN (
    SELECT max(id) FROM override WHERE withdrawn_at IS NULL GROUP BY candidate, task, criterion
);

-- Each criterion of the result that counts, with its override if there is one.
CREATE VIEW criterion_mark AS
SELECT
    chosen.candidate, chosen.submission, criterion.*,
    coalesce(live_override.points, criterion.earned) AS points,
    live_override.id AS override
FROM chosen
JOIN criterion ON criterion.result = chosen.result
LEFT JOIN live_override ON live_override.candidate = chosen.candidate
    AND live_override.criterion = criterion.criterion;

-- Each task, where an override of the whole task comes before those of its criteria.
CREATE VIEW task_mark AS
SELECT
    row.candidate, row.submission, row.result, row.task,
    sum(row.earned) AS earned,
    coalesce(whole.points, sum(row.points)) AS points,
    coalesce(whole.points, sum(CASE WHEN row.override IS NULL THEN row.highest ELSE row.points END)) AS highest,
    sum(row.possible) AS possible,
    whole.points IS NOT NULL OR max(row.override IS NOT NULL) AS overridden,
    whole.points IS NULL AND max(row.override IS NULL AND row.status IN ('unverified', 'error')) AS open
FROM criterion_mark AS row
LEFT JOIN live_override AS whole ON whole.candidate = row.candidate
    AND whole.task = row.task AND whole.criterion = ''
GROUP BY row.candidate, row.task;

CREATE VIEW mark AS
SELECT
    candidate, submission, result,
    sum(points) AS points,
    sum(highest) AS highest,
    sum(possible) AS possible,
    sum(earned) AS earned,
    max(overridden) AS overridden,
    NOT max(open) AS complete
FROM task_mark
GROUP BY candidate;
