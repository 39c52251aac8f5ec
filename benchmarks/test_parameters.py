r"""
# Parameters

How many numbers does a network learn, and where do they sit? The answer is not a measurement: it
follows from the architecture, and anyone can work it out by hand. This analysis does so for each
kind of layer, and compares the result with the variables that Keras really makes.

## One rule

A layer that combines its inputs linearly has a **weight matrix**, with one number for each pair of
an input and an output, and a **bias**, with one number for each output:

$$P = \underbrace{i \times o}_{\text{weights}} + \underbrace{o}_{\text{biases}} = (i + 1)\,o.$$

Nearly every layer is this rule applied to another $i$ and $o$. The question to ask is always: *over
how many numbers does one output sum, and how many different outputs are there?*

| layer | one output sums over | different outputs | parameters |
|---|---|---|---|
| Dense, $d \to u$ | all $d$ inputs | $u$ units | $(d + 1)\,u$ |
| Conv2D, $k \times k$, $c \to f$ | the window in all channels | $f$ filters | $(k^2 c + 1)\,f$ |
| DepthwiseConv2D | the window in its own channel | $c$ channels | $(k^2 + 1)\,c$ |
| SeparableConv2D | the window, then the channels | $c$, then $f$ | $k^2 c + (c + 1)\,f$ |
| SimpleRNN, $d \to u$ | $d$ inputs and $u$ states | $u$ units | $(d + u + 1)\,u$ |
| LSTM | the same | $u$, for 3 gates and the candidate | $4\,(d + u + 1)\,u$ |
| GRU | the same | $u$, for 2 gates and the candidate | $3\,(d + u + 2)\,u$ |
| Attention, $D$ features | $D$ features | $D$: query, key, value, output | $4\,(D + 1)\,D$ |
| Embedding, $V$ words | nothing: it looks up a row | | $V D$ |
| BatchNormalization | nothing: it scales and shifts | $c$: 2 learnt, 2 kept | $4\,c$ |
| LayerNormalization | nothing: it scales and shifts | $D$: 2 learnt | $2\,D$ |
| Dropout, pooling, activation | | | $0$ |

A filter is the same at every place, the matrices of a recurrent layer at every step: they
count once. The GRU has a second bias, for the state, in the variant that runs on GPUs
(`reset_after=True`, the default in Keras and the only one in PyTorch); the one of the paper has
$3\,(d + u + 1)\,u$.

## What parameters cost

A parameter in single precision takes 4 **bytes**. Training keeps more than the parameters: Adam
holds two moments for each trainable one, its step and its rate, so $2P + 2$ numbers of its own.

Work is another matter. A **multiply-accumulate** (MAC) is one product added to a sum, and counts as
two floating-point operations (FLOPs). A dense layer uses each weight once, so it makes $i\,o$ of
them. A convolution uses each weight at every place of its output, an LSTM at every step of its
sequence. Attention multiplies, besides, each pair of its $T$ places twice: $2\,T^2 D$. Bias,
activation and normalisation add no sum of products and count 0.

Sources: LeCun et al., *Gradient-based learning applied to document recognition* (1998); Hochreiter
& Schmidhuber, *Long short-term memory* (1997); Cho et al., *Learning phrase representations using
RNN encoder-decoder* (2014); Vaswani et al., *Attention is all you need* (2017); Ioffe & Szegedy,
*Batch normalization* (2015). Architectures: beside their tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import pytest
from keras import layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.plugin.fixtures import Parameters


def stack(shape: tuple[int, ...], *parts: Callable[[], keras.Layer]) -> Callable[[], keras.Model]:
    """Return what builds a model of some layers, for samples of a shape.

    Built anew for each count, its layers have the same names in every run.
    """
    return lambda: keras.Sequential([keras.Input(shape), *(part() for part in parts)])


# One layer at a time


@pytest.mark.parametrize("units", [1, 32, 512])
@pytest.mark.parametrize("inputs", [3, 64, 784])
def test_dense(parameters: Parameters, inputs: int, units: int) -> None:
    """Every unit sums over every input, and adds its bias."""
    table = parameters(stack((inputs,), lambda: layers.Dense(units)))
    assert table.rows[0].weights == inputs * units
    assert table.rows[0].biases == units
    assert table.unique == (inputs + 1) * units
    assert table.macs == inputs * units


@pytest.mark.parametrize("image", [32, 64])
@pytest.mark.parametrize("filters", [16, 64])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolution(parameters: Parameters, kernel: int, filters: int, image: int) -> None:
    """The window is the same at every place: the image's size makes work, not parameters."""
    table = parameters(
        stack((image, image, 3), lambda: layers.Conv2D(filters, kernel, padding="same"))
    )
    assert table.rows[0].weights == kernel**2 * 3 * filters
    assert table.unique == (kernel**2 * 3 + 1) * filters
    assert table.macs == image**2 * kernel**2 * 3 * filters


@pytest.mark.parametrize("filters", [64, 256])
def test_separable_convolution(parameters: Parameters, filters: int) -> None:
    """Window first, channels after: eight times fewer weights than both at once."""
    shape = (32, 32, filters)
    separable = stack(shape, lambda: layers.SeparableConv2D(filters, 3, padding="same"))
    both = stack(shape, lambda: layers.Conv2D(filters, 3, padding="same"))
    one_by_one = parameters(separable, name="separable")
    at_once = parameters(both, name="full")
    assert one_by_one.unique == 9 * filters + (filters + 1) * filters
    assert at_once.unique == (9 * filters + 1) * filters
    ratio = one_by_one.rows[0].weights / at_once.rows[0].weights
    assert ratio == one_by_one.macs / at_once.macs == pytest.approx(1 / filters + 1 / 9)


RECURRENT = {
    # What builds the layer, its gates, and how many biases each of them has.
    "simple": (lambda: layers.SimpleRNN(32), 1, 1),
    "lstm": (lambda: layers.LSTM(32), 4, 1),
    "lstm (both ways)": (lambda: layers.Bidirectional(layers.LSTM(32)), 2 * 4, 1),
    "gru (reset after)": (lambda: layers.GRU(32), 3, 2),
    "gru (reset before)": (lambda: layers.GRU(32, reset_after=False), 3, 1),
}


@pytest.mark.parametrize("layer", RECURRENT)
def test_recurrent(parameters: Parameters, layer: str) -> None:
    """A gate is a dense layer on [input, state], the same at each of the 10 steps."""
    build, gates, biases = RECURRENT[layer]
    table = parameters(stack((10, 8), build))
    assert table.rows[0].weights == gates * (8 + 32) * 32
    assert table.unique == gates * (8 + 32 + biases) * 32
    assert table.macs == 10 * table.rows[0].weights


@pytest.mark.parametrize("heads", [1, 4, 8])
@pytest.mark.parametrize("length", [16, 128])
def test_attention(parameters: Parameters, length: int, heads: int) -> None:
    """Heads share out the same four matrices; the length makes work, as its square."""

    def attention() -> keras.Model:
        sequence = keras.Input((length, 64))
        attend = layers.MultiHeadAttention(heads, key_dim=64 // heads)
        return keras.Model(sequence, attend(sequence, sequence))

    table = parameters(attention)
    assert table.unique == 4 * (64 + 1) * 64
    assert table.macs == 4 * length * 64**2 + 2 * length**2 * 64


NORMALISATION = {
    # What builds the layer, and how many numbers a channel it learns and keeps.
    "batch": (layers.BatchNormalization, 2, 2),
    "layer": (layers.LayerNormalization, 2, 0),
    "group": (lambda: layers.GroupNormalization(4), 2, 0),
    "rms": (layers.RMSNormalization, 1, 0),
}


@pytest.mark.parametrize("over", NORMALISATION)
def test_normalisation(parameters: Parameters, over: str) -> None:
    """Scale and shift are learnt; the mean and variance that batch normalisation keeps are not."""
    build, trained, kept = NORMALISATION[over]
    table = parameters(stack((8, 8, 16), build))
    assert (table.trainable, table.non_trainable) == (16 * trained, 16 * kept)
    assert table.macs == 0


def test_an_embedding_is_a_table(parameters: Parameters) -> None:
    """It looks up a row of numbers for each word: many parameters, no work."""
    table = parameters(stack((20,), lambda: layers.Embedding(10_000, 64)))
    assert (table.unique, table.macs) == (10_000 * 64, 0)


def test_layers_without_parameters(parameters: Parameters) -> None:
    """Activations, dropout, pooling and reshaping learn nothing."""
    nothing = (layers.ReLU, lambda: layers.Dropout(0.5), layers.MaxPooling2D, layers.Flatten)
    assert parameters(stack((8, 8, 3), *nothing)).unique == 0


# What is shared, frozen, or beside


def test_a_shared_layer_counts_once(parameters: Parameters) -> None:
    """Two inputs through one layer: its weights once, its work twice."""

    def siamese() -> keras.Model:
        left, right, shared = keras.Input((8,)), keras.Input((8,)), layers.Dense(4)
        return keras.Model([left, right], layers.Add()([shared(left), shared(right)]))

    table = parameters(siamese)
    assert (table.unique, table.macs) == ((8 + 1) * 4, 2 * 8 * 4)


def test_a_frozen_layer_is_not_trained(parameters: Parameters) -> None:
    """Fine-tuning only the head: the parameters are all there, the optimizer sees a few."""
    model = stack(
        (64,),
        lambda: layers.Dense(32, trainable=False, name="body"),
        lambda: layers.Dense(10, name="head"),
    )
    table = parameters(model, optimizer="adam")
    assert table.unique == (64 + 1) * 32 + (32 + 1) * 10
    assert table.trainable == (32 + 1) * 10
    assert table.optimizer == 2 * table.trainable + 2


OPTIMIZERS = {
    # The optimizer, and how many numbers it keeps for each trainable parameter.
    "sgd": (keras.optimizers.SGD(), 0),
    "sgd (momentum)": (keras.optimizers.SGD(momentum=0.9), 1),
    "rmsprop": (keras.optimizers.RMSprop(), 1),
    "adam": (keras.optimizers.Adam(), 2),
    "adam (amsgrad)": (keras.optimizers.Adam(amsgrad=True), 3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_an_optimizer_keeps(parameters: Parameters, optimizer: str) -> None:
    """So many numbers for each trainable parameter, its step and its learning rate."""
    used, moments = OPTIMIZERS[optimizer]
    table = parameters(stack((64,), lambda: layers.Dense(32)), optimizer=used)
    assert table.optimizer == moments * table.trainable + 2


# Whole networks


def lenet5() -> keras.Model:
    """Return LeNet-5 as it is taught today, every map of its second convolution seeing all six."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def test_lenet5(parameters: Parameters) -> None:
    """Five lines by hand: 156 + 2,416 + 48,120 + 10,164 + 850."""
    table = parameters(lenet5)
    by_hand = [(25 + 1) * 6, (25 * 6 + 1) * 16, (400 + 1) * 120, (120 + 1) * 84, (84 + 1) * 10]
    assert [row.parameters for row in table.rows if row.parameters] == by_hand
    assert table.unique == sum(by_hand) == 61_706


def bert_base() -> keras.Model:
    """Return the encoder of BERT (base): 12 layers of 768 features, for 512 places."""
    names = ("words", "places", "segments")
    inputs = [keras.Input((512,), dtype="int32", name=name) for name in names]
    sizes = (30_522, 512, 2)
    x = layers.Add()([layers.Embedding(n, 768)(one) for n, one in zip(sizes, inputs, strict=True)])
    x = layers.LayerNormalization()(x)
    for _ in range(12):
        attended = layers.MultiHeadAttention(12, 64)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        thought = layers.Dense(768)(layers.Dense(3072, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, thought]))
    return keras.Model(inputs, layers.Dense(768, activation="tanh")(x[:, 0]))


def test_bert(parameters: Parameters) -> None:
    """Devlin et al. (2019) write 110 M; a layer has 12 D^2 weights, the rest is vocabulary."""
    table = parameters(bert_base)
    vocabulary, norm = (30_522 + 512 + 2) * 768, 2 * 768
    layer = 4 * (768 + 1) * 768 + (768 + 1) * 3072 + (3072 + 1) * 768 + 2 * norm
    assert table.unique == vocabulary + norm + 12 * layer + (768 + 1) * 768 == 109_482_240


PUBLISHED = {
    # Parameters as listed among Keras' applications; work as the papers give it, in MACs.
    "VGG16": (138_357_544, None),
    "VGG19": (143_667_240, 19.6e9),  # He et al., Deep residual learning (2016)
    "ResNet50": (25_636_712, 3.8e9),  # the same
    "DenseNet121": (8_062_504, None),
    "InceptionV3": (23_851_784, None),
    "Xception": (22_910_480, None),
    "MobileNet": (4_253_864, 569e6),  # Howard et al., MobileNets (2017)
    "MobileNetV2": (3_538_984, 300e6),  # Sandler et al., MobileNetV2 (2018)
    "EfficientNetB0": (5_330_571, 0.39e9),  # Tan & Le, EfficientNet (2019)
    "ConvNeXtTiny": (28_589_128, 4.5e9),  # Liu et al., A ConvNet for the 2020s (2022)
}


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_known_architectures(parameters: Parameters, architecture: str) -> None:
    """The published numbers: parameters exactly, work to the digits that the papers give."""
    unique, macs = PUBLISHED[architecture]
    table = parameters(getattr(keras.applications, architecture))
    assert table.unique == unique
    assert table.macs_complete
    assert macs is None or table.macs == pytest.approx(macs, rel=0.02)


def test_where_parameters_sit_and_where_work_is_done(parameters: Parameters) -> None:
    """Three quarters of VGG16's parameters are in one layer, which does a 150th of the work."""
    table = parameters(keras.applications.VGG16)
    largest = max(table.rows, key=lambda row: row.parameters)
    assert largest.formula == "(25088 + 1) x 4096"
    assert largest.parameters > 0.74 * table.unique
    assert largest.macs == 25_088 * 4_096 < table.macs / 150


DISCUSSION = """
**Every count could be made by hand.** For each layer the formula, the variables that Keras made and
Keras' own `count_params` agree to the last digit; had one of them differed, no table would stand
here.

**Parameters and work are different things.** A convolution on an image of twice the side has the
same parameters and four times the work. Attention has the same parameters for any length and any
number of heads, and work that grows with the square of the length. An embedding has many parameters
and no work. In VGG16, three quarters of the parameters sit in the first dense layer, and nearly all
of the work is done by the convolutions before it. A network can therefore be made *smaller* without
becoming *faster*, and the other way round: "how large?" and "how fast?" need two numbers.

**Sharing is what makes networks small.** A convolution uses one window at every place, a recurrent
layer one matrix at every step. Taking the window and the channels one after the other (separable
convolutions) saves a factor of eight to nine for windows of three by three; so the MobileNets come
to a thirtieth of VGG16's parameters.

**Read published totals with care.** LeNet-5 as taught has 61,706 parameters and the original about
60,000: there the second convolution saw only some of the six maps, and pooling had weights. Keras
counts the moving statistics of batch normalisation, PyTorch counts them apart, as buffers. Keras'
`summary()` adds the optimizer's variables to its total once a model is trained: with Adam, about
three times the model. And "FLOPs" in the papers cited here are multiply-accumulates: double them
before you compare them with operations.
"""
