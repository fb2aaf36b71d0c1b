"""Compare the current data with the baseline.

Exit status: 0 no drift, 1 drift, 2 it could not be decided.
"""

import sys
import traceback
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

REFERENCE = Path("data/baseline.csv")
CURRENT = Path("data/current.csv")
REPORT = Path("reports/drift_report.html")
DRIFT_SHARE = 0.5  # of the columns, from which on the data as a whole count as drifted


def detect_drift() -> bool:
    reference, current = pd.read_csv(REFERENCE), pd.read_csv(CURRENT)
    # Said outright, because Evidently takes a column of few whole numbers for categories.
    numbers = DataDefinition(numerical_columns=list(reference.select_dtypes("number")))
    result = Report([DataDriftPreset(drift_share=DRIFT_SHARE)]).run(
        reference_data=Dataset.from_pandas(reference, data_definition=numbers),
        current_data=Dataset.from_pandas(current, data_definition=numbers),
    )
    # Saved first: the report is wanted whatever the verdict.
    REPORT.parent.mkdir(exist_ok=True)
    result.save_html(str(REPORT))

    drifted = next(
        metric["value"]
        for metric in result.dict()["metrics"]
        if metric["metric_name"].startswith("DriftedColumnsCount")
    )
    print(f"{drifted['count']:.0f} columns drifted ({drifted['share']:.0%}), see {REPORT}")
    return drifted["share"] >= DRIFT_SHARE


def main() -> int:
    try:
        return 1 if detect_drift() else 0
    except Exception:
        # Python itself ends a crash with 1, which would pass for drift.
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(main())
