"""A denoiser that the user's own code makes, `module:factory`: the one form that runs code, since code was named."""

import importlib
import sys
from pathlib import Path

from core.denoisers.protocol import SigmaDenoiser, checked
from core.errors import InputError
from core.tensors import first_words


def load_factory(spec: str) -> SigmaDenoiser:
    """What `factory()` of an importable module returns; the working directory is looked in first, as by `python -m`.

    Raises:
        InputError: naming the module or the name in it that is not there, what it raised, or in what its result is no
            denoiser.
    """
    module_name, _, name = spec.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
        factory = getattr(module, name, None)
        if not callable(factory):
            raise InputError(f"{spec}: {module_name} has no function {name}, expected module:factory")
        made = factory()
    except InputError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise InputError(
                f"{spec}: there is no module {error.name} here or installed, expected module:factory"
            ) from error
        raise InputError(f"{spec}: needs {error.name}, which is not installed") from error
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{spec}: raised {type(error).__name__}: {first_words(str(error))}") from error
    finally:
        sys.path.remove(here)
    return checked(made, spec)
