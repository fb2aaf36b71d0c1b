"""Pairs of submissions to look at: never a verdict, never a mark."""

from grader.cohort.similarity.comparison import compute as compute
from grader.cohort.similarity.export import export_tree as export_tree
from grader.cohort.similarity.keep import keep as keep
from grader.cohort.similarity.keep import kept as kept
from grader.cohort.similarity.model import Similarity as Similarity
from grader.cohort.similarity.model import Work as Work
from grader.cohort.similarity.report import FORMS as FORMS
from grader.cohort.similarity.report import write as write
