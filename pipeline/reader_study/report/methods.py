"""The methods paragraphs, written from the protocol and from what the analysis does, and their references."""

from __future__ import annotations

from pipeline import __version__
from pipeline.exports.mrmc_wording import FIGURE_WORDS
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.protocol import Design, Protocol
from pipeline.reader_study.work_list import AIDED, arms_of

REFERENCES = (
    "Sounderajah V et al. STARD-AI. Nat Med (2025).",
    "Tejani AS et al. CLAIM, 2024 update. Radiol Artif Intell 6 (2024) e240300.",
    "FDA. Clinical performance assessment: considerations for computer-assisted detection devices (2022).",
    "Obuchowski NA, Rockette HE. Commun Stat Simul Comput 24 (1995) 285.",
    "Hillis SL. Stat Med 26 (2007) 596.",
    "DeLong ER, DeLong DM, Clarke-Pearson DL. Biometrics 44 (1988) 837.",
    "Newcombe RG. Stat Med 25 (2006) 559.",
    "Wilson EB. J Am Stat Assoc 22 (1927) 209.",
    "Rao JNK, Scott AJ. Biometrics 48 (1992) 577.",
    "Cohen J. Psychol Bull 70 (1968) 213.",
    "Fleiss JL. Psychol Bull 76 (1971) 378.",
    "Shrout PE, Fleiss JL. Psychol Bull 86 (1979) 420.",
)
STARD, CLAIM, FDA, OR, HILLIS, DELONG, NEWCOMBE, WILSON, RAO, COHEN, FLEISS, ICC = (
    f"[{number}]" for number in range(1, len(REFERENCES) + 1)
)
SHORT_HASH = 12


def methods(analysis: StudyAnalysis) -> list[str]:
    """Paragraphs on design, reading, and statistics; numbers in brackets are places in ``REFERENCES``."""
    return [_design(analysis), _reading(analysis.readings.protocol), _figures(analysis), _comparison(analysis), _rest()]


def _design(analysis: StudyAnalysis) -> str:
    readings = analysis.readings
    protocol, positives = readings.protocol, sum(case.positive for case in readings.cases)
    condition = protocol.positive_class or "the condition"
    parts = [
        _sentence("Question", protocol.question),
        f"Multi-reader multi-case study {STARD}{CLAIM} with a {protocol.design.value} design: {len(readings.readers)} "
        f"readers ({_experience(protocol)}) read {len(readings.cases)} cases, {positives} with and "
        f"{len(readings.cases) - positives} without {condition}, unaided and aided by the model.",
        _sentence("Reference standard", protocol.reference_standard),
        _sentence("Primary end point", protocol.primary_end_point),
        f"Figure of merit: {FIGURE_WORDS[protocol.figure_of_merit.value]}.",
        f"Models: {_model(protocol.segmenter.name, protocol.segmenter.sha256)} (segmentation) and "
        f"{_model(protocol.classifier.name, protocol.classifier.sha256)} (classification); their results were computed "
        "before the first read.",
        f"The protocol was fixed before the first read (SHA-256 {protocol.sha256[:SHORT_HASH]}), and its hash is in "
        "every row.",
    ]
    return " ".join(part for part in parts if part)


def _reading(protocol: Protocol) -> str:
    practice = sum(case.practice for case in protocol.cases)
    if protocol.design is Design.SEQUENTIAL:
        how = (
            "Each case was read unaided first. Probability, outline and heat map left the server only after that read "
            "had been stored; the aided read followed in the same sitting."
        )
    else:
        how = (
            f"Unaided and aided reads of a case were separate sittings, at least {protocol.washout_days:g} days apart "
            f"{FDA}; {_orders(protocol)}."
        )
    return (
        f"{how} The order of cases was drawn for each reader (seed {protocol.seed}). "
        f"{_practice(practice)}A read records suspicion (0 to "
        "100), verdict (yes, no, not assessable), confidence (1 to 5) and active time; an aided read agreement with "
        "the model and a segmentation score (1 to 3) as well."
    )


def _orders(protocol: Protocol) -> str:
    aided = sum(arms_of(protocol, one.reader)[0] == AIDED for one in protocol.readers)
    return f"{len(protocol.readers) - aided} readers began unaided and {aided} aided"


def _practice(count: int) -> str:
    if not count:
        return "There were no practice cases. "
    cases = "One practice case" if count == 1 else f"{count} practice cases"
    return f"{cases} with feedback came first, in no analysis. "


def _figures(analysis: StudyAnalysis) -> str:
    corrections = analysis.readings.corrections
    return (
        "The primary analysis takes the first stored row of each read; a sensitivity analysis the latest correction "
        f"({corrections} corrections). By reader and arm: AUC of the suspicion with DeLong's interval on the logit "
        f"scale {DELONG}, or Newcombe's where that degenerates {NEWCOMBE}; sensitivity, specificity and accuracy of "
        f"the verdict with Wilson's {WILSON}, not assessable counting as wrong (primary) or left out; median active "
        "time with the exact interval of a quantile. Differences are aided minus unaided, paired by case: DeLong's "
        "for AUC, Student's t for proportions, a bootstrap over cases for the median of times. Intervals are 95 % and "
        "two-sided, and not adjusted for their number."
    )


def _comparison(analysis: StudyAnalysis) -> str:
    primary = FIGURE_WORDS[analysis.readings.protocol.figure_of_merit.value]
    others = [FIGURE_WORDS[one.figure_of_merit] for one in analysis.comparisons[1:]]
    return (
        f"The arms were compared by the analysis of Obuchowski and Rockette {OR} with Hillis' degrees of freedom "
        f"{HILLIS} and jackknife covariances, on the cases that all readers had read in both arms. The primary test is "
        f"of {primary} with random readers and random cases at 0.05; fixed readers, fixed cases, "
        f"{' and '.join(others)} are secondary. Sensitivity and specificity are of the verdict, not assessable "
        "counting as wrong."
    )


def _rest() -> str:
    return (
        "A change of verdict is for the better where it was wrong unaided and right aided, and for the worse the other "
        "way round; it is reported by whether the model was right. Intervals of changes and of accuracy by "
        f"segmentation score are over cases, the reads of a case being a cluster {RAO}, with these readers. Agreement: "
        f"Cohen's kappa {COHEN} on the full scale (verdict: three levels, unweighted; suspicion: 101 levels, quadratic "
        "weights; segmentation score: three levels, quadratic weights), of each pair of readers and of each reader "
        f"with the model (its verdict, 100 times its probability, its predicted score); Fleiss' kappa {FLEISS} with a "
        f"bootstrap interval over cases; ICC(2,1) of the suspicion {ICC}. A kappa with a constant rater is undefined. "
        f"FibroReview {__version__}."
    )


def _experience(protocol: Protocol) -> str:
    return "; ".join(f"{one.reader}: {one.experience}" if one.experience else one.reader for one in protocol.readers)


def _model(name: str, sha256: str) -> str:
    return f"{name} ({sha256[:SHORT_HASH]})"


def _sentence(head: str, text: str) -> str:
    said = text.strip()
    if not said:
        return ""
    return f"{head}: {said}" if said[-1] in ".?!" else f"{head}: {said}."
