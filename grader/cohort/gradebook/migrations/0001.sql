-- Points are integers in twentieths. Times are ISO 8601 in UTC.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE CHECK (key <> ''),
    name TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    section TEXT NOT NULL DEFAULT '',
    number INTEGER NOT NULL UNIQUE CHECK (number >= 0) -- what stands for the name in anonymous mode; drawn at random
) STRICT;

CREATE TABLE identity (
    candidate INTEGER NOT NULL REFERENCES candidate,
    system TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (system, value, candidate)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_by_candidate ON identity (candidate);

CREATE TABLE submission (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL REFERENCES candidate,
    digest TEXT NOT NULL DEFAULT '', -- empty while it is unreadable
    source TEXT NOT NULL, -- what `grader score` takes
    tag TEXT NOT NULL DEFAULT '',
    submitted_at TEXT,
    evidence TEXT NOT NULL DEFAULT '', -- where the time is known from
    found_at TEXT NOT NULL,
    late INTEGER CHECK (late IN (0, 1)), -- NULL: not known
    unreadable TEXT NOT NULL DEFAULT '' CHECK (unreadable <> '' OR digest <> ''), -- why
    retry INTEGER NOT NULL DEFAULT 0 CHECK (retry IN (0, 1)), -- unreadable through no fault of the candidate's
    UNIQUE (candidate, source, digest)
) STRICT;
CREATE INDEX submission_by_digest ON submission (digest);

-- The key names a result: what is graded, by which exam, grader and options.
CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    submission TEXT NOT NULL CHECK (submission <> ''), -- a digest
    exam TEXT NOT NULL, -- a digest
    grader TEXT NOT NULL, -- a version
    options TEXT NOT NULL, -- as JSON, keys sorted
    source TEXT NOT NULL, -- where the submission was found last
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'done', 'died')),
    attempt INTEGER NOT NULL DEFAULT 0,
    lease_until TEXT,
    worker TEXT NOT NULL DEFAULT '',
    deaths INTEGER NOT NULL DEFAULT 0 CHECK (deaths >= 0), -- workers that ended while they had it
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
    complete INTEGER NOT NULL CHECK (complete IN (0, 1)),
    seconds REAL NOT NULL,
    worker TEXT NOT NULL,
    at TEXT NOT NULL,
    tasks TEXT NOT NULL, -- as JSON: task -> fingerprint of all that decides it
    reused TEXT NOT NULL DEFAULT '{}', -- as JSON: task -> the earlier result that its rows were taken from
    document BLOB NOT NULL, -- the result document as JSON, compressed by zlib
    void TEXT NOT NULL DEFAULT '', -- why it counts no more
    CHECK (lowest <= score AND score <= highest)
) STRICT;
-- However many attempts there were, one of them counts.
CREATE UNIQUE INDEX result_of_job ON result (job) WHERE void = '';

CREATE TABLE criterion (
    result INTEGER NOT NULL REFERENCES result,
    task TEXT NOT NULL,
    criterion TEXT NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('earned', 'partial', 'lost', 'blocked', 'unverified', 'error')),
    earned INTEGER NOT NULL,
    highest INTEGER NOT NULL CHECK (earned <= highest),
    possible INTEGER NOT NULL,
    seconds REAL NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '', -- of its findings: equal for those who lost it in the same way
    basis TEXT NOT NULL DEFAULT '', -- digest of status, points and findings: what an override is based on
    PRIMARY KEY (result, criterion)
) STRICT, WITHOUT ROWID;
CREATE INDEX criterion_by_finding ON criterion (criterion, fingerprint);

CREATE TABLE override (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL REFERENCES candidate,
    task TEXT NOT NULL CHECK (task <> ''),
    criterion TEXT NOT NULL DEFAULT '', -- empty: the whole task
    points INTEGER NOT NULL CHECK (points >= 0),
    author TEXT NOT NULL CHECK (author <> ''),
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),
    at TEXT NOT NULL,
    based_on INTEGER REFERENCES result, -- NULL: there was none yet
    fingerprint TEXT NOT NULL DEFAULT '', -- of the group of equal findings that it was made for
    withdrawn_at TEXT,
    withdrawn_by TEXT NOT NULL DEFAULT '',
    CHECK ((withdrawn_at IS NULL) = (withdrawn_by = ''))
) STRICT;
CREATE INDEX override_by_candidate ON override (candidate);
-- A new one takes the place of the one before, which is withdrawn: what was replaced never comes back.
CREATE UNIQUE INDEX override_that_counts ON override (candidate, task, criterion) WHERE withdrawn_at IS NULL;
CREATE INDEX override_by_result ON override (based_on);

-- What each of its criteria was in the result that it is based on.
CREATE TABLE override_basis (
    override INTEGER NOT NULL REFERENCES override,
    criterion TEXT NOT NULL,
    basis TEXT NOT NULL,
    PRIMARY KEY (override, criterion)
) STRICT, WITHOUT ROWID;

CREATE TABLE flag (
    id INTEGER PRIMARY KEY,
    candidate INTEGER NOT NULL REFERENCES candidate,
    author TEXT NOT NULL CHECK (author <> ''),
    reason TEXT NOT NULL CHECK (trim(reason) <> ''),
    at TEXT NOT NULL,
    done_at TEXT,
    done_by TEXT NOT NULL DEFAULT '',
    CHECK ((done_at IS NULL) = (done_by = ''))
) STRICT;
CREATE INDEX flag_by_candidate ON flag (candidate);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL, -- a word, such as `override`
    candidate INTEGER REFERENCES candidate,
    data TEXT NOT NULL DEFAULT '{}' -- as JSON
) STRICT;
CREATE INDEX event_by_candidate ON event (candidate);

-- What was decided is never changed, only taken back: by a column that says so, or by a newer row.
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;
CREATE TRIGGER event_is_kept BEFORE DELETE ON event BEGIN
    SELECT RAISE(ABORT, 'events are never deleted');
END;
CREATE TRIGGER override_stays BEFORE UPDATE ON override
WHEN OLD.withdrawn_at IS NOT NULL
    OR (NEW.id, NEW.candidate, NEW.task, NEW.criterion, NEW.points, NEW.author, NEW.reason, NEW.at,
        NEW.based_on, NEW.fingerprint)
    IS NOT (OLD.id, OLD.candidate, OLD.task, OLD.criterion, OLD.points, OLD.author, OLD.reason, OLD.at,
        OLD.based_on, OLD.fingerprint)
BEGIN
    SELECT RAISE(ABORT, 'overrides are withdrawn, never changed');
END;
CREATE TRIGGER override_is_kept BEFORE DELETE ON override BEGIN
    SELECT RAISE(ABORT, 'overrides are withdrawn, never deleted');
END;
CREATE TRIGGER result_stays
BEFORE UPDATE OF id, job, score, lowest, highest, possible, pass_mark, complete, at, document ON result BEGIN
    SELECT RAISE(ABORT, 'results are made void, never changed');
END;
CREATE TRIGGER result_is_kept BEFORE DELETE ON result BEGIN
    SELECT RAISE(ABORT, 'results are made void, never deleted');
END;

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

-- Of each candidate and criterion or whole task, the override that was not withdrawn.
CREATE VIEW live_override AS
SELECT * FROM override WHERE withdrawn_at IS NULL;

-- Those whose criteria have another status, other points or findings in the result that counts than in the one
-- that they were based on, or are not in it.
CREATE VIEW stale_override AS
SELECT live_override.id, live_override.candidate
FROM live_override
LEFT JOIN chosen ON chosen.candidate = live_override.candidate
WHERE EXISTS (
    SELECT 1 FROM criterion
    WHERE criterion.result = chosen.result AND criterion.task = live_override.task
        AND live_override.criterion IN ('', criterion.criterion)
        AND NOT EXISTS (
            SELECT 1 FROM override_basis AS was
            WHERE was.override = live_override.id AND was.criterion = criterion.criterion
                AND was.basis = criterion.basis
        )
) OR EXISTS (
    SELECT 1 FROM override_basis AS was
    WHERE was.override = live_override.id AND NOT EXISTS (
        SELECT 1 FROM criterion
        WHERE criterion.result = chosen.result AND criterion.criterion = was.criterion
            AND criterion.task = live_override.task
    )
);

-- Each criterion of the result that counts, with its override if there is one. The exam may have become
-- smaller since: nobody has more than there is.
CREATE VIEW criterion_mark AS
SELECT
    chosen.candidate, chosen.submission, criterion.*,
    coalesce(min(live_override.points, criterion.possible), criterion.earned) AS points,
    live_override.id AS override
FROM chosen
JOIN criterion ON criterion.result = chosen.result
LEFT JOIN live_override ON live_override.candidate = chosen.candidate
    AND live_override.task = criterion.task AND live_override.criterion = criterion.criterion;

-- Each task, where an override of the whole task comes before those of its criteria.
CREATE VIEW task_mark AS
SELECT
    candidate, submission, result, task, earned,
    coalesce(min(whole, possible), points) AS points,
    coalesce(min(whole, possible), highest) AS highest,
    possible,
    whole IS NOT NULL OR overridden AS overridden,
    whole IS NULL AND open AS open
FROM (
    SELECT
        row.candidate, row.submission, row.result, row.task,
        sum(row.earned) AS earned,
        sum(row.points) AS points,
        sum(iif(row.override IS NULL, row.highest, row.points)) AS highest,
        sum(row.possible) AS possible,
        max(row.override IS NOT NULL) AS overridden,
        max(row.override IS NULL AND row.status IN ('unverified', 'error')) AS open,
        (
            SELECT points FROM live_override
            WHERE live_override.candidate = row.candidate AND live_override.task = row.task
                AND live_override.criterion = ''
        ) AS whole
    FROM criterion_mark AS row
    GROUP BY row.candidate, row.task
);

-- What overrides change in each task that they touch. The sums are those of `task_mark`, but for the order in which
-- tables are read: it is this one that keeps a large cohort's marks quick.
CREATE VIEW moved AS
WITH picked AS MATERIALIZED (SELECT candidate, result FROM chosen)
SELECT
    picked.candidate, criterion.task,
    coalesce(min(whole.points, sum(criterion.possible)), sum(coalesce(min(own.points, possible), earned)))
        - sum(earned) AS points,
    coalesce(min(whole.points, sum(criterion.possible)), sum(coalesce(min(own.points, possible), highest)))
        - sum(highest) AS highest,
    sum(status IN ('unverified', 'error') AND (own.id IS NOT NULL OR whole.id IS NOT NULL)) AS closed,
    max(own.id IS NOT NULL OR whole.id IS NOT NULL) AS overridden
FROM (SELECT DISTINCT candidate, task FROM live_override) AS touched
CROSS JOIN picked ON picked.candidate = touched.candidate
CROSS JOIN criterion ON criterion.result = picked.result AND criterion.task = touched.task
LEFT JOIN live_override AS own ON own.candidate = touched.candidate AND own.task = touched.task
    AND own.criterion = criterion.criterion
LEFT JOIN live_override AS whole ON whole.candidate = touched.candidate AND whole.task = touched.task
    AND whole.criterion = ''
GROUP BY picked.candidate, criterion.task;

-- Most have no override: theirs is what was graded, and no criterion has to be looked at. Passed is NULL while it
-- depends on criteria that are undecided.
CREATE VIEW mark AS
SELECT *, CASE WHEN points >= pass_mark THEN 1 WHEN highest < pass_mark THEN 0 END AS passed
FROM (
    SELECT
        chosen.candidate, chosen.submission, chosen.result,
        result.score + coalesce(total.points, 0) AS points,
        result.highest + coalesce(total.highest, 0) AS highest,
        result.possible, result.score AS earned,
        coalesce(total.overridden, 0) AS overridden,
        result.complete OR coalesce(total.closed, 0) = (
            SELECT count(*) FROM criterion
            WHERE criterion.result = chosen.result AND criterion.status IN ('unverified', 'error')
        ) AS complete,
        result.pass_mark
    FROM chosen
    JOIN result ON result.id = chosen.result
    LEFT JOIN (
        SELECT
            candidate, sum(points) AS points, sum(highest) AS highest, sum(closed) AS closed,
            max(overridden) AS overridden
        FROM moved
        GROUP BY candidate
    ) AS total ON total.candidate = chosen.candidate
);
