"""Clean the raw training data: no duplicates, no incomplete rows."""

from pathlib import Path

import pandas as pd

RAW = Path("data/raw/train.csv")
CLEAN = Path("data/processed/train_clean.csv")


def main() -> None:
    raw = pd.read_csv(RAW)
    clean = raw.drop_duplicates().dropna()
    CLEAN.parent.mkdir(parents=True, exist_ok=True)
    clean.to_csv(CLEAN, index=False)
    print(f"{len(clean)} of {len(raw)} rows kept in {CLEAN}")


if __name__ == "__main__":
    main()
