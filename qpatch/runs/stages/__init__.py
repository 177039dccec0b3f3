"""The stages of a run, in the order in which they are computed. A further one is a file here and its name below."""

from qpatch.runs.stage import Stage
from qpatch.runs.stages import flatness, hessian, landscape, slices, spectrum, train

STAGES: dict[str, Stage] = {
    module.STAGE.name: module.STAGE for module in (train, hessian, landscape, spectrum, slices, flatness)
}
