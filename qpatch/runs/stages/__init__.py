"""The stages of a run, in the order in which they are computed. A further one is a file here and its name below."""

from qpatch.runs.stage import Stage
from qpatch.runs.stages import hessian, landscape, slices, spectrum, train

STAGES: dict[str, Stage] = {
    stage.name: stage for stage in (train.STAGE, hessian.STAGE, landscape.STAGE, spectrum.STAGE, slices.STAGE)
}
