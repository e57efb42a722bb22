"""Process supervision: from problems with references and tests to programs with one label per line.

- ``teacher``: the interface of a teacher, which proposes variants of a program;
- ``rules``: the rule teacher; ``operators/`` holds one small function for each kind of change;
- ``llm``: a language model as teacher, alone or together with the rules;
- ``labeller``: executes the variants and turns verdicts into labels;
- ``rollouts``: finds the first wrong line of a program that a policy wrote;
- ``dataset``: stores the labelled programs and reads them back;
- ``canonical``: prints every program in one way, whoever wrote it.
"""

from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.dataset import load_facts, load_labels, save_labels, stepwise
from prl_ray.supervision.labeller import label_problems, stream_labels
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rollouts import label_rollouts
from prl_ray.supervision.rows import NEGATIVE, POSITIVE, UNLABELLED, LabelledProgram, in_units, without_repeats
from prl_ray.supervision.rules import RuleTeacher, RuleTeachers
from prl_ray.supervision.teacher import Proposals, Teacher, Teachers, Variant

__all__ = [
    "NEGATIVE",
    "POSITIVE",
    "UNLABELLED",
    "LabelConfig",
    "LabelReport",
    "LabelledProgram",
    "Proposals",
    "RuleTeacher",
    "RuleTeachers",
    "Teacher",
    "Teachers",
    "Variant",
    "canonical",
    "in_units",
    "label_problems",
    "label_rollouts",
    "load_facts",
    "load_labels",
    "save_labels",
    "stepwise",
    "stream_labels",
    "without_repeats",
]
