"""What a cohort's marks say about the exam: definitions as in Moodle's quiz statistics."""

from grader.cohort.statistics.analysis import compute as compute
from grader.cohort.statistics.model import Row as Row
from grader.cohort.statistics.model import Sheet as Sheet
from grader.cohort.statistics.model import Statistics as Statistics
from grader.cohort.statistics.report import FORMS as FORMS
from grader.cohort.statistics.report import write as write
