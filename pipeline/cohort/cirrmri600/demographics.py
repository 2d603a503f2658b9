"""Sex and age of the subjects, from the CSV files of CirrMRI600+."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.cohort.manifest_row import PLAUSIBLE, is_within

TABLES = {
    "cirrhotic": ("T2_age_gender_evaluation.csv", "CirrMRI600+_CompleteData_age_gender_evaluation.csv"),
    "healthy": ("Healthy_demographics.csv",),
}
"""File names by group; the first that exists is read."""

SEX = {"1": "female", "2": "male"}
"""Codes of the column Gender."""


@dataclass(frozen=True)
class Person:
    """What the tables say of one subject; empty where nothing usable is given."""

    sex: str = ""
    """``female`` or ``male``."""
    age: str = ""
    """Years, as written in the table."""


def read_people(root: Path) -> tuple[dict[str, Person], list[str]]:
    """Sex and age by case name, and one line for each table or cell that cannot be used."""
    people: dict[str, Person] = {}
    faults: list[str] = []
    for group, names in TABLES.items():
        file = next((root / name for name in names if (root / name).is_file()), None)
        if file is None:
            faults.append(f"{names[0]}: missing; age and sex of the {group} stay empty.")
            continue
        rows = _read_table(file)
        if rows is None:
            faults.append(f"{file.name}: lacks ID, Age or Gender, or is damaged; they stay empty for the {group}.")
            continue
        for number, gender, age in rows.itertuples(index=False):
            person = Person(SEX.get(gender.removesuffix(".0"), ""), age if is_within(age, *PLAUSIBLE["age"]) else "")
            for what, cell, value in (("gender", gender, person.sex), ("age", age, person.age)):
                if cell and not value:
                    faults.append(f"{file.name}: the {what} of {group} {number} is no {what}; it stays empty.")
            people[f"{group}_{number.zfill(4)}"] = person
    return people, faults


def _read_table(file: Path) -> pd.DataFrame | None:
    """Columns id, gender and age as text; None where the file is damaged or lacks one."""
    try:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        rows.columns = [column.strip().lower().removeprefix("patient ") for column in rows.columns]
        return rows[["id", "gender", "age"]].apply(lambda column: column.str.strip())
    except (ValueError, KeyError):
        return None
