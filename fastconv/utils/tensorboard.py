"""`SummaryWriter`: files for TensorBoard, through the package of that name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd import TensorBase

__all__ = ["SummaryWriter"]


def _package() -> Any:
    """The parts of the package that are used, or ModuleNotFoundError that names it."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise ModuleNotFoundError(
            "SummaryWriter needs the package tensorboard, which is not installed: "
            "pip install tensorboard"
        ) from error
    return event_pb2, summary_pb2, tensor_pb2, TensorShapeProto, EventFileWriter


def _array(value: Any) -> np.ndarray:
    return np.asarray(value._array if isinstance(value, TensorBase) else value)


class SummaryWriter:
    """Writes scalars, histograms, texts and images.

    Parameters
    ----------
    log_dir : path, optional
        ``runs/<time>_<host><comment>`` by default.
    comment : str
    purge_step, max_queue, flush_secs, filename_suffix
        As PyTorch's.

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        parts = _package()
        self._event, self._summary, self._tensor, self._shape, writer = parts
        if not log_dir:
            import socket

            now = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self._options = max_queue, flush_secs, filename_suffix
        self._make = writer
        self._writers = {"": writer(self.log_dir, max_queue, flush_secs, filename_suffix)}
        if purge_step is not None:
            event = self._event.Event(step=purge_step, wall_time=time.time())
            event.session_log.status = self._event.SessionLog.START
            self._writers[""].add_event(event)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def _add(self, values: list[Any], step: Any, walltime: float | None, where: str = "") -> None:
        summary = self._summary.Summary(value=values)
        event = self._event.Event(
            summary=summary,
            wall_time=time.time() if walltime is None else walltime,
            step=0 if step is None else int(step),
        )
        if where not in self._writers:
            path = os.path.join(self.log_dir, where)
            self._writers[where] = self._make(path, *self._options)
        self._writers[where].add_event(event)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Write a number."""
        number = float(_array(scalar_value).reshape(()))
        value = self._summary.Summary.Value(tag=tag, simple_value=number)
        self._add([value], global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Write several numbers, each a line of one picture: a folder for each."""
        for tag, scalar in tag_scalar_dict.items():
            number = float(_array(scalar).reshape(()))
            value = self._summary.Summary.Value(tag=main_tag, simple_value=number)
            place = f"{main_tag.replace('/', '_')}_{tag}"
            self._add([value], global_step, walltime, place)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = 64,
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Write how values are distributed."""
        array = _array(values).astype(np.float64).reshape(-1)
        if not array.size:
            raise ValueError(f"add_histogram: values of {tag!r} are empty")
        counts, edges = np.histogram(array, bins=64 if isinstance(bins, str) else bins)
        proto = self._summary.HistogramProto(
            min=array.min(), max=array.max(), num=array.size, sum=array.sum(),
            sum_squares=float(array @ array), bucket_limit=edges[1:].tolist(),
            bucket=counts.tolist(),
        )  # fmt: skip
        value = self._summary.Summary.Value(tag=tag, histo=proto)
        self._add([value], global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Write a picture of uint8, or of floats in [0, 1]; needs Pillow."""
        import io

        from PIL import Image

        order = dataformats.upper()
        array = _array(img_tensor)
        if array.ndim != len(order):
            raise ValueError(
                f"add_image: {tag!r} of shape {array.shape} does not fit dataformats {order!r}"
            )
        if order == "HW":
            array, order = array[..., None], "HWC"
        array = array.transpose([order.index(a) for a in "HWC"])
        if array.dtype != np.uint8:
            array = (np.clip(array, 0, 1) * 255).astype(np.uint8)
        if array.shape[2] not in (1, 3, 4):
            raise ValueError(f"add_image: {tag!r} must have 1, 3 or 4 channels, got {array.shape}")
        picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        proto = self._summary.Summary.Image(
            height=array.shape[0], width=array.shape[1], colorspace=array.shape[2],
            encoded_image_string=stream.getvalue(),
        )  # fmt: skip
        self._add([self._summary.Summary.Value(tag=tag, image=proto)], global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Write pictures side by side."""
        order = dataformats.upper()
        array = _array(img_tensor).transpose([order.index(a) for a in "NCHW"])
        row = np.concatenate(list(array), axis=2)
        self.add_image(tag, row, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Write a figure, or several, of matplotlib."""
        for i, one in enumerate(figure if isinstance(figure, (list, tuple)) else [figure]):
            one.canvas.draw()
            array = np.asarray(one.canvas.buffer_rgba())[..., :3]
            name = f"{tag}/{i}" if isinstance(figure, (list, tuple)) else tag
            self.add_image(name, array, global_step, walltime, "HWC")
            if close:
                import matplotlib.pyplot as plt

                plt.close(one)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Write a text."""
        metadata = self._summary.SummaryMetadata(
            plugin_data=self._summary.SummaryMetadata.PluginData(plugin_name="text")
        )
        tensor = self._tensor.TensorProto(
            dtype="DT_STRING",
            string_val=[text_string.encode()],
            tensor_shape=self._shape(dim=[self._shape.Dim(size=1)]),
        )
        value = self._summary.Summary.Value(
            tag=f"{tag}/text_summary", metadata=metadata, tensor=tensor
        )
        self._add([value], global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Write the parameters of a run as a text, and its measures as numbers."""
        table = "\n".join(f"{key}: {value}" for key, value in hparam_dict.items())
        self.add_text("hparams", table, global_step)
        for key, value in metric_dict.items():
            self.add_scalar(key, value, global_step)

    def add_graph(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """Write the model's ``repr`` as a text: nothing traces programs here."""
        self.add_text("model", f"```\n{model!r}\n```")

    def flush(self) -> None:
        """Write what waits to the disk."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Write what waits, and close the files."""
        for writer in self._writers.values():
            writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
