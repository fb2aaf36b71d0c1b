"""Drawings of statistics, as markup that can stand in any page: no script, no style, no id."""

from grader.web.plots.alert import Course as Course
from grader.web.plots.alert import alert as alert
from grader.web.plots.exam import item_map as item_map
from grader.web.plots.exam import task_bars as task_bars
from grader.web.plots.exam import totals as totals
from grader.web.plots.time import pace as pace
from grader.web.plots.time import seconds_of_candidates as seconds_of_candidates
from grader.web.plots.time import seconds_of_tasks as seconds_of_tasks
