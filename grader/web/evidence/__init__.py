"""What a mark rests on, as markup that can stand in any page, whatever candidates wrote."""

from grader.web.evidence.files import Files as Files
from grader.web.evidence.files import Gone as Gone
from grader.web.evidence.files import open_files as open_files
from grader.web.evidence.lines import file_view as file_view
from grader.web.evidence.outcome import outcome as outcome
from grader.web.evidence.outcome import reference_lines as reference_lines
from grader.web.evidence.pictures import picture as picture
