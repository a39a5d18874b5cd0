# The types of the names in __init__.py, which imports them lazily.
from eddpm.diffusion.images import to_float as to_float
from eddpm.diffusion.images import to_uint8 as to_uint8
from eddpm.diffusion.noise import ImageNoise as ImageNoise
from eddpm.diffusion.noise import image_labels as image_labels
from eddpm.diffusion.sampling import clipped as clipped
from eddpm.diffusion.sampling import sample_ddim as sample_ddim
from eddpm.diffusion.sampling import sample_ddpm as sample_ddpm
from eddpm.diffusion.sampling import thresholded as thresholded
from eddpm.diffusion.schedule import NoiseSchedule as NoiseSchedule
from eddpm.diffusion.schedule import make_schedule as make_schedule
from eddpm.diffusion.schedule import respace as respace
from eddpm.errors import EddpmError as EddpmError
from eddpm.guidance.guide import Guidance as Guidance
from eddpm.guidance.guide import classifier_guidance as classifier_guidance
from eddpm.guidance.guide import pair_guidance as pair_guidance
from eddpm.guidance.logits import Answer as Answer
from eddpm.guidance.logits import log_entropy as log_entropy
from eddpm.guidance.rule import Pair as Pair
from eddpm.guidance.rule import Pull as Pull
from eddpm.guidance.rule import Rule as Rule
from eddpm.guidance.rules.constant import Constant as Constant
from eddpm.guidance.rules.entropy import Entropy as Entropy
from eddpm.guidance.rules.none import Unguided as Unguided
from eddpm.guidance.state import State as State
from eddpm.models.trained import load as load
from eddpm.training.classification import entropy_constraint as entropy_constraint

__version__: str
