# The types of the names in __init__.py, which imports them lazily.
from eddpm.diffusion.guidance import Guidance as Guidance
from eddpm.diffusion.guidance import classifier_guidance as classifier_guidance
from eddpm.diffusion.guidance import constant as constant
from eddpm.diffusion.guidance import entropy as entropy
from eddpm.diffusion.guidance import log_entropy as log_entropy
from eddpm.diffusion.guidance import none as none
from eddpm.diffusion.images import to_float as to_float
from eddpm.diffusion.images import to_uint8 as to_uint8
from eddpm.diffusion.noise import ImageNoise as ImageNoise
from eddpm.diffusion.noise import image_labels as image_labels
from eddpm.diffusion.sampling import sample_ddim as sample_ddim
from eddpm.diffusion.sampling import sample_ddpm as sample_ddpm
from eddpm.diffusion.schedule import NoiseSchedule as NoiseSchedule
from eddpm.diffusion.schedule import make_schedule as make_schedule
from eddpm.diffusion.schedule import respace as respace
from eddpm.errors import EddpmError as EddpmError
from eddpm.models.trained import load as load
from eddpm.training.classification import entropy_constraint as entropy_constraint

__version__: str
