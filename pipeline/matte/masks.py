"""Rough masks of persons by MediaPipe's two selfie segmentation networks."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.detect.face_mesh import quiet_stderr
from pipeline.detect.mediapipe_import import import_mediapipe
from pipeline.matte.backends import Share

# File of each network, width and height of the image that it takes.
NETWORKS = {
    "selfie_segmentation.tflite": (256, 256),
    "selfie_segmentation_landscape.tflite": (256, 144),
}
# One graph runs both, in the thread that asks. MediaPipe's own graphs take an image of any size,
# and a fifth more time to bring it to the network's and the mask back.
_GRAPH = """
executor {{ type: "ApplicationThreadExecutor" }}
node {{
  calculator: "TfLiteCustomOpResolverCalculator"
  output_side_packet: "OP_RESOLVER:operations"
}}
{nodes}
"""
_NODES = """
input_stream: "image_{number}"
output_stream: "mask_{number}"
node {{
  calculator: "TensorConverterCalculator"
  input_stream: "IMAGE:image_{number}"
  output_stream: "TENSORS:in_{number}"
  options {{ [mediapipe.TensorConverterCalculatorOptions.ext] {{ zero_center: false }} }}
}}
node {{
  calculator: "InferenceCalculator"
  input_stream: "TENSORS:in_{number}"
  input_side_packet: "OP_RESOLVER:operations"
  output_stream: "TENSORS:out_{number}"
  options {{
    [mediapipe.InferenceCalculatorOptions.ext] {{
      model_path: "mediapipe/modules/selfie_segmentation/{file}"
      delegate {{ xnnpack {{ num_threads: 1 }} }}
    }}
  }}
}}
node {{
  calculator: "TensorsToSegmentationCalculator"
  input_stream: "TENSORS:out_{number}"
  output_stream: "MASK:both_{number}"
  options {{ [mediapipe.TensorsToSegmentationCalculatorOptions.ext] {{ activation: NONE }} }}
}}
node {{
  calculator: "FromImageCalculator"
  input_stream: "IMAGE:both_{number}"
  output_stream: "IMAGE_CPU:mask_{number}"
}}
"""


class PersonMasks:
    """Rough masks of images, each on its own.

    The lesser of MediaPipe's two segmentation networks, the general one and the landscape one:
    each takes some patch of background for a person now and then, seldom both the same.
    """

    def __init__(self) -> None:
        import_mediapipe()
        with quiet_stderr():
            import mediapipe
            from mediapipe.python import packet_creator, packet_getter
            from mediapipe.python._framework_bindings import resource_util
            from mediapipe.python._framework_bindings.calculator_graph import CalculatorGraph

            # The models' paths count from the folder that holds the package.
            resource_util.set_resource_dir(str(Path(mediapipe.__file__).parents[1]))
            nodes = "".join(
                _NODES.format(number=number, file=file) for number, file in enumerate(NETWORKS)
            )
            self._graph = CalculatorGraph(graph_config=_GRAPH.format(nodes=nodes))
            self._pack, self._unpack = packet_creator.create_image_frame, packet_getter
            self._format = mediapipe.ImageFormat.SRGB
            self._masks: dict[str, Float[np.ndarray, "_ _"]] = {}
            for number in range(len(NETWORKS)):
                self._graph.observe_output_stream(f"mask_{number}", self._take)
            self._graph.start_run()
            self._asked = 0
            # It remarks on itself when it sees its first image.
            self(np.zeros((64, 64, 3), np.uint8))

    def _take(self, stream: str, packet: object) -> None:
        self._masks[stream] = self._unpack.get_image_frame(packet).numpy_view()

    def __call__(self, small: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """The mask of an image at working size: float32, 0..1.

        The networks see 256 x 256 and 256 x 144 pixels: a larger image gives no better mask.
        """
        self._asked += 1
        for number, size in enumerate(NETWORKS.values()):
            image = _stretched(small, size)
            packet = self._pack(data=image, image_format=self._format).at(self._asked)
            self._graph.add_packet_to_input_stream(f"image_{number}", packet)
        self._graph.wait_until_idle()
        both = (cv2.resize(mask, small.shape[1::-1]) for mask in self._masks.values())
        mask: Float[np.ndarray, "h w"] = np.minimum(*both)
        return mask


def _stretched(
    small: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "n m 3"]:
    """An image brought to a size as MediaPipe's own graph does it, first pixel on first pixel."""
    height, width = small.shape[:2]
    if (width, height) == size:
        return small
    back = np.diag([width / size[0], height / size[1], 1.0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    stretched: UInt8[np.ndarray, "n m 3"] = cv2.warpPerspective(small, back, size, flags=flags)
    return stretched


@cache
def person_masks() -> PersonMasks:
    """The masks of this process: loaded once, because they remember nothing."""
    return PersonMasks()


def subject_of(mask: Float[np.ndarray, "h w"], share: Share | None) -> Float[np.ndarray, "h w"]:
    """The subject's part of a mask of persons; None: the mask is of the subject alone."""
    return mask if share is None else mask * share
