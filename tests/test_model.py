"""The network: padding never matters, and its parts equal PyTorch's own with the same weights."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from data.feature_engineering import NUM_CODES, PADDING
from models.architectures import build_model
from models.cnn_lstm_model import (
    AttentionLayer,
    BidirectionalLSTM,
    CharacterConv1d,
    CNN_LSTM_Model,
    Dropout,
    MaskedConv1d,
)
from utils.config import Config, ModelConfig, as_config
from utils.errors import ConfigError

CLOSE = {"rtol": 0, "atol": 1e-5}


def make_model(*, seed=0, num_classes=3, train=False, **sizes):
    """Return a small model with large random weights, so that every input counts; in evaluation mode
    unless `train`.
    """
    small = {
        "embedding_dim": 6,
        "conv_filters": (7, 5),
        "kernel_size": 3,
        "lstm_units": 4,
        "attention_units": 5,
        "dense_units": (16,),
        "evidence_ngrams": 0,
        "pool_size": 1,
        "max_pooling": False,
    }
    torch.manual_seed(seed)
    model = CNN_LSTM_Model(NUM_CODES, num_classes, Config(model=ModelConfig(**small | sizes)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0, 0.6)
            if name == "embedding.weight":
                parameter[PADDING] = 0
        if model.evidence is not None:
            model.evidence.table.random_(-127, 128)
            model.evidence.scale.fill_(0.02)
    return model.train(train)


def random_codes(lengths, width, seed=0):
    """Return codes (N, width) uint8 of rows of these lengths, padding at the end."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, NUM_CODES, (len(lengths), width)).astype(np.uint8)
    codes[np.arange(width) >= np.asarray(lengths)[:, None]] = PADDING
    return torch.from_numpy(codes)


def same(seed, *shape):
    """Return the same normal numbers for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same_with_gradients(answer, expected, x, **tolerance):
    """Check two results of `x`, and what gradient they give it."""
    torch.testing.assert_close(answer, expected, **tolerance)
    weights = same(1, *answer.shape)
    gradients = [
        torch.autograd.grad((y * weights).sum(), x, retain_graph=True)[0] for y in (answer, expected)
    ]
    torch.testing.assert_close(*gradients, **tolerance)


# ------------------------------------------------------------------ padding

NGRAMS = {"ngram_sizes": (2, 3), "ngram_buckets": 50, "ngram_dim": 3}
EVIDENCE = {"evidence_ngrams": 4, "evidence_buckets": 101}
VARIANTS = [
    {},
    EVIDENCE,
    {**EVIDENCE, "max_pooling": True, "pool_size": 2},
    *({"kernel_size": kernel_size} for kernel_size in (1, 2, 4, 5, 8)),
    {"conv_filters": (7,)},
    {"conv_filters": (6, 6, 6), "kernel_size": 4},
    {"max_pooling": True},
    *({"pool_size": pool_size} for pool_size in (2, 3, 8)),
    NGRAMS,
    {**NGRAMS, "max_pooling": True, "pool_size": 2, "kernel_size": 2},
]
every_variant = pytest.mark.parametrize("sizes", VARIANTS, ids=str)


@every_variant
def test_no_padding_and_no_batch_changes_a_logit(sizes):
    model = make_model(**sizes)
    rng = np.random.default_rng(0)
    lengths = np.r_[1, 2, 3, 24, rng.integers(1, 24, 12)]
    codes = random_codes(lengths, 24)
    with torch.no_grad():
        alone = torch.cat([model(row[:n].unsqueeze(0)) for row, n in zip(codes, lengths, strict=True)])
        assert (alone.std(dim=0) > 0.02).all()  # else nothing could change a logit
        for extra in (0, 1, 7, 40):
            rows = torch.from_numpy(rng.permutation(len(lengths))[: rng.integers(2, len(lengths) + 1)])
            padded = torch.nn.functional.pad(codes[rows], (0, extra))
            torch.testing.assert_close(model(padded), alone[rows], **CLOSE)


@every_variant
def test_no_padding_changes_a_gradient(sizes):
    gradients = []
    for extra in (0, 30):
        model = make_model(dropout_rate=0.0, ngram_dropout=0.0, train=True, **sizes)
        codes = torch.nn.functional.pad(random_codes([5, 9, 2], 9), (0, extra))
        model(codes).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], **CLOSE)


def test_other_characters_and_their_order_change_the_logits():
    model = make_model()
    row = random_codes([12], 12)
    changed = row.clone()
    changed[0, 11] = changed[0, 11] % (NUM_CODES - 1) + 1
    with torch.no_grad():
        logits = model(torch.cat([row, changed, row.flip(1)]))
    assert (logits[0] - logits[1]).abs().max() > 1e-2
    assert (logits[0] - logits[2]).abs().max() > 1e-2


@every_variant
def test_a_row_of_nothing_but_padding_gives_finite_logits_and_gradients(sizes):
    model = make_model(train=True, **sizes)
    codes = random_codes([0, 3, 0], 6)
    logits = model(codes)
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@every_variant
def test_one_character_is_enough(sizes):
    assert make_model(**sizes)(random_codes([1, 1], 1)).shape == (2, 3)


# ------------------------------------------------------------------ the whole model


@pytest.mark.parametrize("num_classes", [2, 3, 7])
@pytest.mark.parametrize("dense_units", [(), (6,), (6, 4)])
def test_the_shape_of_the_logits(num_classes, dense_units):
    model = make_model(num_classes=num_classes, dense_units=dense_units)
    assert model(random_codes([3, 9, 1, 4], 9)).shape == (4, num_classes)


@every_variant
def test_gradients_reach_every_weight(sizes):
    model = make_model(train=True, dropout_rate=0.0, ngram_dropout=0.0, **sizes)
    codes = random_codes([20] * 24, 20)  # every code but padding occurs
    torch.nn.functional.cross_entropy(model(codes), torch.arange(24) % 3).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    # every character but padding is learned
    assert torch.equal(model.embedding.weight.grad.abs().sum(1) > 0, torch.arange(NUM_CODES) != PADDING)


def test_a_mapping_builds_the_same_model_as_a_config():
    sizes = {"embedding_dim": 6, "conv_filters": [7], "lstm_units": 3}
    from_mapping = CNN_LSTM_Model(NUM_CODES, 3, {"model": sizes}).state_dict()
    sizes["conv_filters"] = (7,)
    from_config = CNN_LSTM_Model(NUM_CODES, 3, Config(model=ModelConfig(**sizes))).state_dict()
    assert {n: t.shape for n, t in from_mapping.items()} == {n: t.shape for n, t in from_config.items()}


def test_every_integer_type_of_codes_gives_the_same_logits():
    model, codes = make_model(), random_codes([9, 4], 9)
    for dtype in (torch.int32, torch.int64):
        assert torch.equal(model(codes.to(dtype)), model(codes))


def test_shift_logits_adds_a_constant_for_good():
    model, codes = make_model(), random_codes([9, 4], 9)
    before = model(codes)
    model.shift_logits(np.array([0.5, -1.0, 0.0]))
    torch.testing.assert_close(model(codes), before + torch.tensor([0.5, -1.0, 0.0]))
    assert model.classifier.bias.requires_grad


# ------------------------------------------------------------------ attention


@every_variant
def test_attention_weights_sum_to_one_and_are_zero_on_padding(sizes):
    lengths = [1, 5, 12, 7]
    codes = random_codes(lengths, 15)
    _, weights = make_model(**sizes).forward_with_attention(codes)
    assert weights.shape == codes.shape
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4))
    assert torch.equal(weights > 0, codes != PADDING)


def test_attention_is_the_additive_one():
    layer = AttentionLayer(6, 4)
    hidden, mask = same(1, 2, 5, 6), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    context, weights = layer(hidden, mask)
    for row, length in enumerate([5, 3]):
        h = hidden[row, :length]
        scores = torch.tanh(h @ layer.projection.weight.T + layer.projection.bias) @ layer.score.weight[0]
        expected = torch.exp(scores) / torch.exp(scores).sum()
        torch.testing.assert_close(weights[row, :length], expected)
        torch.testing.assert_close(context[row], expected @ h)


def test_a_pooled_step_shares_its_attention_among_its_characters():
    model = make_model(pool_size=2)
    _, weights = model.forward_with_attention(random_codes([5], 7))
    assert weights[0, 0] == weights[0, 1]
    assert weights[0, 2] == weights[0, 3]
    assert weights[0, 4] > 0


# ------------------------------------------------------------------ n-grams


def test_the_bucket_of_an_ngram_depends_on_its_last_characters_only():
    """The hash is part of a checkpoint's meaning: it must never change."""
    ngrams = make_model(ngram_sizes=(2, 6), ngram_buckets=1000).ngrams
    codes = torch.tensor([[3, 40, 7, 7, 40, 7, 40, 2, 2, 9]])
    for n in (2, 6):
        padded = [0] * (n - 1) + codes[0].tolist()
        expected = []
        for end in range(codes.size(1)):
            gram = 0
            for code in padded[end : end + n]:
                gram = gram * NUM_CODES + code
            expected.append((gram % (2**31 - 1) * (402_653_189 + 8 * n) + 97 * n) % (2**31 - 1) % 1000)
        assert ngrams.bucket(codes, n)[0].tolist() == expected
    assert ngrams.bucket(codes, 2)[0, 2] == ngrams.bucket(codes, 2)[0, 5]


def test_different_ngrams_spread_over_the_buckets():
    ngrams = make_model(ngram_sizes=(3,), ngram_buckets=64).ngrams
    codes = torch.cartesian_prod(*[torch.arange(2, 22)] * 3)  # 8,000 different trigrams
    counts = torch.bincount(ngrams.bucket(codes, 3)[:, 2], minlength=64)
    assert counts.min() > 60
    assert counts.max() < 200


def test_training_hides_ngrams_and_prediction_does_not():
    model = make_model(**NGRAMS, ngram_dropout=0.5, dropout_rate=0.0)
    codes = random_codes([20] * 50, 20).long()
    mask = (codes != PADDING).unsqueeze(2).float()
    shown = model.ngrams(codes, mask)
    assert torch.equal(shown, model.ngrams(codes, mask))
    hidden = model.ngrams.train()(codes, mask)
    kept = (hidden != 0).any(dim=2)
    assert 0.4 < kept.float().mean() < 0.6
    assert torch.equal(hidden[kept], shown[kept])


def test_dropout_hides_its_share_and_keeps_the_sum():
    dropout, x = Dropout(0.25).train(), torch.full((100, 100), 3.0)
    dropped = dropout(x)
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    assert 0.72 < (dropped != 0).float().mean() < 0.78
    assert set(dropout.keep(x).unique().tolist()) == {0.0, 3.0}
    assert torch.equal(dropout.eval()(x), x)


# ------------------------------------------------------------------ the parts against PyTorch's own


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("length", [1, 2, 3, 11])
def test_masked_convolution_equals_conv1d_with_the_same_weights(kernel_size, length):
    c_in, c_out, extra = 5, 7, 4
    ours = MaskedConv1d(c_in, c_out, kernel_size)
    theirs = nn.Conv1d(c_in, c_out, kernel_size, padding="same")
    with torch.no_grad():
        # ours: one row of weights for each output, kernel position by kernel position
        theirs.weight.copy_(ours.linear.weight.reshape(c_out, kernel_size, c_in).transpose(1, 2))
        theirs.bias.copy_(ours.linear.bias)
    x = same(0, 3, length, c_in).requires_grad_()
    expected = theirs(x.transpose(1, 2)).relu().transpose(1, 2)

    assert_same_with_gradients(ours(x, torch.ones(3, length, 1)), expected, x, **CLOSE)
    with torch.no_grad():
        torch.testing.assert_close(ours(x, torch.ones(3, length, 1)), expected, **CLOSE)

    padded = nn.functional.pad(x, (0, 0, 0, extra))
    mask = nn.functional.pad(torch.ones(3, length, 1), (0, 0, 0, extra))
    answer = ours(padded, mask)
    torch.testing.assert_close(answer[:, :length], expected, **CLOSE)
    assert not answer[:, length:].any()


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("num_channels", [0, 4])
def test_character_convolution_equals_the_masked_one_over_the_embedding(kernel_size, num_channels):
    dim, c_out, codes = 6, 7, random_codes([11, 3, 1], 11).int()
    ours = CharacterConv1d(dim + num_channels, c_out, kernel_size)
    theirs = MaskedConv1d(dim + num_channels, c_out, kernel_size)
    theirs.load_state_dict(ours.state_dict())
    embedding = nn.Embedding(NUM_CODES, dim, padding_idx=PADDING)
    mask = (codes != PADDING).unsqueeze(2).float()
    channels = (same(0, 3, 11, num_channels) * mask).requires_grad_() if num_channels else None

    embedded = embedding(codes)
    expected = theirs(embedded if channels is None else torch.cat([embedded, channels], dim=2), mask)
    weights = same(1, *expected.shape)
    inputs = [embedding.weight] + [channels] * (num_channels > 0)

    def gradients_of(output, layer):
        parameters = [*layer.parameters(), *inputs]
        return torch.autograd.grad((output * weights).sum(), parameters, retain_graph=True)

    for compute in (ours, ours._multiply):  # on a CPU, and elsewhere
        answer = compute(codes, embedding.weight, channels, mask)
        torch.testing.assert_close(answer, expected, **CLOSE)
        torch.testing.assert_close(gradients_of(answer, ours), gradients_of(expected, theirs), **CLOSE)


def test_the_gradient_of_a_code_is_summed_in_float32_in_bfloat16_too():
    """In bfloat16 a sum of ones stays at 256."""
    layer, embedding = CharacterConv1d(4, 4, 1), torch.ones(NUM_CODES, 4, requires_grad=True)
    with torch.no_grad():
        layer.linear.weight.fill_(0.25)
    codes = torch.full((50, 60), 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(codes, embedding, None, torch.ones(50, 60, 1, dtype=torch.bfloat16))
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert embedding.grad[7].tolist() == [3_000] * 4


def test_bidirectional_lstm_equals_pytorchs_on_packed_rows():
    c_in, hidden, lengths = 5, 6, torch.tensor([9, 1, 4, 9, 2])
    ours = BidirectionalLSTM(c_in, hidden)
    theirs = nn.LSTM(c_in, hidden, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            getattr(theirs, name).copy_(getattr(ours.forward_lstm, name))
            getattr(theirs, f"{name}_reverse").copy_(getattr(ours.backward_lstm, name))
    x = same(0, 5, 9, c_in).requires_grad_()
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    answer = ours(x, lengths)
    assert answer.shape == expected.shape
    inside = (torch.arange(9) < lengths.unsqueeze(1)).unsqueeze(2)
    assert_same_with_gradients(answer * inside, expected, x, **CLOSE)
    with torch.no_grad():
        torch.testing.assert_close(ours(x, lengths) * inside, expected, **CLOSE)


def test_training_in_bfloat16_converts_once_and_stays_near_float32():
    model = make_model(train=True, dense_units=(), lstm_units=16, conv_filters=(16, 16))
    codes = random_codes([12, 5, 9, 1], 12)
    types = []
    for layer in (*model.convolutions, model.dropout):  # the dropout stands before the LSTM
        layer.register_forward_hook(lambda _, given, output: types.append((given[-1].dtype, output.dtype)))
    model.dropout.p = 0.0
    expected = model(codes)
    types.clear()
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer = model(codes)
    except RuntimeError as error:
        pytest.skip(f"no LSTM in bfloat16 on this processor: {error}")
    assert types[:3] == [(torch.bfloat16, torch.bfloat16)] * 3
    torch.testing.assert_close(answer.float(), expected, rtol=0.05, atol=0.05)


def test_an_unknown_architecture_is_named_with_the_known_ones():
    config = as_config({"model": {"architecture": "cnn_lstn"}})
    with pytest.raises(ConfigError, match=r"model\.architecture: must be one of cnn_lstm. Got 'cnn_lstn'"):
        build_model(3, config)
