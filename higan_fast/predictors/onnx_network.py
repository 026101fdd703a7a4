"""An ONNX file as a network, run by ONNX Runtime on the device where the images are."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from higan_fast.files import first_line
from higan_fast.opening import check_file, sha256
from higan_fast.refusing import OUT_OF_MEMORY, refusing
from higan_fast.wording import in_words, printable

if TYPE_CHECKING:
    import onnx

SILENT = 4  # of ONNX Runtime's severities: what it logs as an error, it raises too
TYPES: dict[str, tuple[Any, torch.dtype]] = {
    "tensor(float)": (np.float32, torch.float32),
    "tensor(float16)": (np.float16, torch.float16),
    "tensor(double)": (np.float64, torch.float64),
}
IMAGES = "images [N, C, H, W]"
MEMORY = ("Failed to allocate memory", "out of memory", "bad_alloc")  # in what ONNX Runtime says


class OnnxNetwork(torch.nn.Module):
    """Images → one output of an ONNX file. It has no gradient, and runs in the precision of its file.

    Images are read where they are, in the memory of the host or of a GPU; the output comes back to the host.
    Where images are on a GPU and this ONNX Runtime has no provider for it, they are copied to the host.

    Args:
        path: the file; its external data lie beside it.
        output: the name of the output with the scores; None: the only one, or the one called ``logits``.

    Attributes:
        size: height and width of the images that it takes, one number where they are the same; None: any.
        channels: of the images that it takes; None: any.
        num_scores: how many scores its output declares for an image; None: it does not say.

    Raises:
        FileNotFoundError: when the file or its external data are not there.
        ValueError: when it is no ONNX file, a package is missing, or inputs or outputs are of another kind.
    """

    runs_outside_torch = True
    not_fingerprinted: ClassVar[tuple[str, ...]] = ("path", "_sessions")

    def __init__(self, path: Path, output: str | None = None) -> None:
        super().__init__()
        files = onnx_files(path)
        self.path = path
        self._sessions: dict[torch.device, Any] = {}
        session = self._session(torch.device("cpu"))
        with refusing(path):  # names may be no text
            self.input, self.dtype, self.batch, self.channels, self.size = self._chosen_input(session)
            self.output, self.num_scores = self._chosen_output(session, output)
        self.identity = f"onnx {digest_of(files)} {self.output}"

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` → the output ``[N, ...]``, in the host's memory."""
        session = self._session(images.device)
        x = images.detach().to(self.dtype[1])
        if "CUDAExecutionProvider" not in session.get_providers():
            x = x.cpu()
        if len(x) == 0:  # what one image gives says the shape
            return self._run(session, x.new_zeros(1, *x.shape[1:]))[:0]
        step = self.batch or len(x)
        parts = [self._run(session, x[start : start + step]) for start in range(0, len(x), step)]
        return torch.cat(parts)

    def _run(self, session: Any, x: Tensor) -> Tensor:
        num = len(x)
        if self.batch and num < self.batch:  # it takes so many and no fewer
            x = torch.cat([x, x[-1:].expand(self.batch - num, *x.shape[1:])])
        x = x.contiguous()
        if x.is_cuda:  # ONNX Runtime has a stream of its own
            torch.cuda.current_stream(x.device).synchronize()
        binding = session.io_binding()
        place = x.device.index or 0
        binding.bind_input(self.input, x.device.type, place, self.dtype[0], tuple(x.shape), x.data_ptr())
        binding.bind_output(self.output, "cpu")
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # its classes derive from Exception alone
            if any(sign in str(error) for sign in (*MEMORY, *OUT_OF_MEMORY)):
                raise MemoryError(str(error)) from error
            raise
        return torch.from_numpy(np.array(binding.get_outputs()[0].numpy()))[:num]

    def _session(self, device: torch.device) -> Any:
        """The session for a device, made when it is first needed."""
        if device not in self._sessions:
            self._sessions[device] = _session(self.path, device)
        return self._sessions[device]

    def _chosen_input(
        self, session: Any
    ) -> tuple[str, tuple[Any, torch.dtype], int | None, int | None, int | tuple[int, int] | None]:
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise ValueError(
                f"{self.path}: has {len(inputs)} inputs, {_told(inputs)}; expected one, {IMAGES}"
            )
        (found,) = inputs
        shape = [size if isinstance(size, int) and size > 0 else None for size in found.shape]
        if len(shape) != 4 or found.type not in TYPES:
            raise ValueError(
                f"{self.path}: takes {_told(inputs)}, expected {IMAGES} of floating-point numbers"
            )
        batch, channels, height, width = shape
        if (height is None) != (width is None):
            raise ValueError(
                f"{self.path}: takes images of {height or 'any height'}×{width or 'any width'}, expected a "
                "height and a width, or any of both"
            )
        size = height if height is None or width is None or height == width else (height, width)
        return found.name, TYPES[found.type], batch, channels, size

    def _chosen_output(self, session: Any, name: str | None) -> tuple[str, int | None]:
        outputs = session.get_outputs()
        named = {output.name: output for output in outputs}
        wanted = "logits" if name is None else name
        if name is None and len(outputs) == 1:
            wanted = outputs[0].name
        if wanted not in named:
            example = f"{self.path}:{printable(outputs[0].name)}"
            raise ValueError(
                f"{self.path}: has the outputs {_told(outputs)}; name one of them, as in {example}"
            )
        if named[wanted].type not in TYPES:
            raise ValueError(
                f"{self.path}: gives {_told([named[wanted]])}, expected scores [N, S] of floating-point "
                "numbers (skl2onnx: options={'zipmap': False})"
            )
        sizes = [size for size in named[wanted].shape[1:] if size != 1]
        known = all(isinstance(size, int) and size > 0 for size in sizes)
        known &= len(sizes) < 2  # maps of each pixel, which a segmentation gives
        return wanted, int(np.prod(sizes)) if known and named[wanted].shape else None


def onnx_files(path: Path) -> list[Path]:
    """The file of a model and those of its external data.

    Raises:
        FileNotFoundError: when one of them is not there.
        ValueError: when it is no ONNX file, names data outside its folder, or the package is missing.
    """
    model, found = _read(path), [path]
    for location in dict.fromkeys(_external(model)):
        beside = path.parent / location
        if not beside.resolve().is_relative_to(path.parent.resolve()):
            raise ValueError(
                f"{path}: has weights in {in_words(location)}, expected a file of its own folder"
            )
        try:
            check_file(beside)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{printable(str(beside))}: there is no such file, and {path} has weights in it; put it "
                "there, or export the network with its weights in one file"
            ) from None
        found.append(beside)
    return found


def digest_of(files: list[Path]) -> str:
    """Returns one SHA-256 of the contents of files, in their order."""
    return hashlib.sha256(" ".join(map(sha256, files)).encode()).hexdigest()


def _read(path: Path) -> onnx.ModelProto:
    check_file(path)
    try:
        import onnx
        import onnxruntime  # noqa: F401 (said to be missing before anything else)
    except ImportError as error:
        raise ValueError(
            f"{path}: takes the package {error.name}, which is not installed: pip install 'higan_fast[onnx]' "
            "(on a machine with a GPU, onnxruntime-gpu in place of onnxruntime)"
        ) from None
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # protobuf's own
        raise ValueError(f"{path}: is no ONNX file, or a damaged one") from None
    if not model.graph.node:
        raise ValueError(f"{path}: is no ONNX file, or an empty one")
    return model


def _external(model: onnx.ModelProto) -> Iterator[str]:
    """The places of all tensors that lie in other files."""
    from onnx import TensorProto

    tensors = list(_tensors(model.graph))
    tensors += (tensor for function in model.functions for tensor in _constants(function.node))
    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL:
            yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _constants(graph.node)


def _constants(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from ([attribute.t] if attribute.HasField("t") else [])
        yield from attribute.tensors
        for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            yield from _tensors(inner)


def _session(path: Path, device: torch.device) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = torch.get_num_threads()
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda":
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            # Without TF32, as all that is measured here.
            settings = {"device_id": device.index or 0, "use_tf32": "0"}
            providers.insert(0, ("CUDAExecutionProvider", settings))
        else:
            warnings.warn(
                f"{path}: this onnxruntime has no provider for CUDA, so that images are copied to the host; "
                "install onnxruntime-gpu in its place",
                RuntimeWarning,
                stacklevel=2,
            )
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # its classes derive from Exception alone
        raise ValueError(f"{path}: ONNX Runtime does not take it ({first_line(error)})") from error


def _told(values: Any) -> str:
    """Returns names, types and shapes of inputs or outputs, for a message."""
    said = (f"{value.name}: {value.type} {in_words(list(value.shape))}" for value in values)
    return printable(", ".join(said))
