"""An independent oracle: the same mathematics in NumPy and PyTorch, in double precision.

Run `python3 tests/oracle/generate.py` with NumPy and PyTorch; it rewrites `vectors.txt` beside it. Each line is
`case/name dimensions : values`; the first line is the CRC-32 of this script, so that a test can tell stale vectors. With
`--check` it writes nothing, and fails where the vectors there are not those that it makes.
"""

import pathlib
import sys
import zlib

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
HERE = pathlib.Path(__file__).parent
LINES = []


def put(name, values):
    array = np.asarray(values.detach() if isinstance(values, torch.Tensor) else values, dtype=np.float64)
    dimensions = "x".join(map(str, array.shape)) or "1"
    LINES.append(f"{name} {dimensions} : " + " ".join(repr(float(v)) for v in array.ravel()))


def uniform(generator, *shape):
    # Rounded to f32, so that single precision starts from the same numbers.
    return generator.uniform(-1, 1, shape).astype(np.float32).astype(np.float64)


def leaf(array):
    return torch.tensor(array, requires_grad=True)


def linear(generator, inputs, outputs, examples):
    case = f"linear{inputs}x{outputs}"
    w, b, x = (leaf(uniform(generator, *s)) for s in [(outputs, inputs), (outputs,), (examples, inputs)])
    d_y = torch.tensor(uniform(generator, examples, outputs))
    y = torch.nn.functional.linear(x, w, b)
    y.backward(d_y)
    for name, value in dict(w=w, b=b, x=x, y=y, d_y=d_y, d_w=w.grad, d_b=b.grad, d_x=x.grad).items():
        put(f"{case}/{name}", value)


def softmax(generator, symbols, kept):
    case = f"softmax{symbols}k{kept}"
    z = leaf(4 * uniform(generator, symbols))
    clean, weight = 2 % kept, 1.25
    logits = z[:kept]
    loss = weight * torch.nn.functional.cross_entropy(logits[None], torch.tensor([clean]))
    loss.backward()
    put(f"{case}/z", z)
    put(f"{case}/loss", loss)
    put(f"{case}/d_z", z.grad)


def soft_answer(generator, symbols, kept, share):
    """(1 - share) times the loss of the clean symbol and share times the cross-entropy with a teacher's probabilities."""
    case = f"soft{symbols}k{kept}"
    z = leaf(4 * uniform(generator, symbols))
    clean, weight = 3 % kept, 1.25
    teacher = torch.softmax(torch.tensor(3 * uniform(generator, kept)), dim=-1)
    logits = z[None, :kept]
    hard = torch.nn.functional.cross_entropy(logits, torch.tensor([clean]))
    mixed = (1 - share) * torch.nn.functional.one_hot(torch.tensor(clean), kept) + share * teacher
    # Shares that floats of 32 bits hold exactly, with the sum 1.
    t = torch.round(mixed * 2**20) / 2**20
    t[clean] += 1 - t.sum()
    loss = weight * torch.nn.functional.cross_entropy(logits, t[None])
    soft = torch.nn.functional.cross_entropy(logits, teacher[None])
    assert abs(loss - weight * ((1 - share) * hard + share * soft)) < 1e-5
    loss.backward()
    put(f"{case}/z", z)
    put(f"{case}/t", torch.nn.functional.pad(t, (0, symbols - kept)))
    put(f"{case}/loss", loss)
    put(f"{case}/d_z", z.grad)


def relu(generator):
    x = leaf(uniform(generator, 20))
    d_y = torch.tensor(uniform(generator, 20))
    y = torch.relu(x)
    y.backward(d_y)
    for name, value in dict(x=x, y=y, d_y=d_y, d_x=x.grad).items():
        put(f"relu/{name}", value)


def gelu(generator):
    x = leaf(4 * uniform(generator, 24))
    d_y = torch.tensor(uniform(generator, 24))
    y = torch.nn.functional.gelu(x, approximate="tanh")
    y.backward(d_y)
    for name, value in dict(x=x, y=y, d_y=d_y, d_x=x.grad).items():
        put(f"gelu/{name}", value)


# Activations of the transformer have the positions innermost: features × positions.


def product(generator, inputs, outputs, positions):
    case = f"product{inputs}x{outputs}x{positions}"
    w, x = (leaf(uniform(generator, *s)) for s in [(outputs, inputs), (inputs, positions)])
    d_y = torch.tensor(uniform(generator, outputs, positions))
    y = w @ x
    y.backward(d_y)
    for name, value in dict(w=w, x=x, y=y, d_y=d_y, d_w=w.grad, d_x=x.grad).items():
        put(f"{case}/{name}", value)


def rms_norm(generator, width, positions):
    case = f"rms_norm{width}x{positions}"
    gain, x = (leaf(uniform(generator, *s)) for s in [(width,), (width, positions)])
    d_y = torch.tensor(uniform(generator, width, positions))
    y = torch.nn.functional.rms_norm(x.T, (width,), gain, eps=1e-5).T
    y.backward(d_y)
    for name, value in dict(gain=gain, x=x, y=y, d_y=d_y, d_gain=gain.grad, d_x=x.grad).items():
        put(f"{case}/{name}", value)


def attention(generator, width, positions, length):
    """Each of the first `length` positions reads these; what the others hold must not matter, and they get 0."""
    case = f"attention{width}x{positions}n{length}"
    q, k, v = (leaf(2 * uniform(generator, width, positions)) for _ in range(3))
    d_y = torch.tensor(uniform(generator, width, positions))
    inputs = q.T[None], k.T[None, :length], v.T[None, :length]
    y = torch.nn.functional.scaled_dot_product_attention(*inputs)[0].T * (torch.arange(positions) < length)
    y.backward(d_y)
    for name, value in dict(q=q, k=k, v=v, y=y, d_y=d_y, d_q=q.grad, d_k=k.grad, d_v=v.grad).items():
        put(f"{case}/{name}", value)


def batch_of(generator, rows, positions, symbols):
    """Texts of several lengths, the longest first and the last of one symbol: clean symbols, which are masked, the weight of
    each position's loss, and the lengths. What symbols and masks say past a text's end must not matter."""
    clean = generator.integers(0, symbols, (rows, positions))
    masked = generator.random((rows, positions)) < 0.6
    masked[0] = True
    weights = np.where(masked, (0.25 + np.arange(positions) / 8)[None, :], 0.0)
    weights[1] = 0.5
    lengths = np.linspace(positions, 1, rows).round().astype(int)
    weights[np.arange(positions)[None, :] >= lengths[:, None]] = 0.0
    return clean, masked, weights, lengths


def each_text(batch, positions, logits_of):
    """The logits of every text by itself, made from its own symbols and masks alone; zeros past its end."""
    clean, masked, _, lengths = batch
    rows = []
    for symbols, masks, n in zip(clean, masked, lengths):
        logits = logits_of(torch.tensor(symbols[:n]), torch.tensor(masks[:n]), n)
        assert logits.shape[0] == n
        rows.append(torch.nn.functional.pad(logits, (0, 0, 0, positions - n)))
    return torch.stack(rows)


def one_hot_of(symbols, masks, count):
    """One row a position, all zeros where it is masked."""
    return torch.nn.functional.one_hot(symbols, count).double() * ~masks[:, None]


def features_of(p, symbols, masks, n):
    """P by the distance from the start, Q by that from the end, and E by the symbol where one is shown."""
    return p["position"][:n] + p["from_end"][:n].flip(0) + p["token"][symbols] * ~masks[:, None]


def masked_loss(logits, clean, weights, symbols):
    """Weighted cross-entropy over the alphabet's symbols only; one loss for each row."""
    log_p = torch.log_softmax(logits[..., :symbols], dim=-1)
    picked = log_p.gather(-1, torch.tensor(clean)[..., None])[..., 0]
    return -(torch.tensor(weights) * picked).sum(-1)


def put_training(case, parameters, forward, batch, symbols, rates, weight_decay):
    """Logits, losses, gradients, and the parameters after each of a few AdamW steps on the same batch."""
    clean, masked, weights, lengths = batch
    put(f"{case}/lengths", lengths)
    put(f"{case}/clean", clean)
    put(f"{case}/masked", masked)
    put(f"{case}/weights", weights)
    for name, value in parameters.items():
        put(f"{case}/{name}", value)
    optimiser = torch.optim.AdamW(parameters.values(), lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
    for step, rate in enumerate(rates):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        logits = forward(parameters)
        losses = masked_loss(logits, clean, weights, symbols)
        losses.sum().backward()
        if step == 0:
            put(f"{case}/logits", logits)
            put(f"{case}/losses", losses)
            for name, value in parameters.items():
                put(f"{case}/d_{name}", value.grad)
        optimiser.step()
        for name, value in parameters.items():
            put(f"{case}/step{step + 1}.{name}", value)


def rates(steps, peak, warm_up, floor):
    """Linear warm-up to the peak, then linear decay that reaches floor·peak at the last step."""
    rising = [peak * (s + 1) / warm_up for s in range(warm_up)]
    return rising + [float(r) for r in np.linspace(peak, floor * peak, steps - warm_up)]


def mlp(generator, positions, symbols, hidden, rows, kept):
    case = f"mlp{positions}x{symbols}x{hidden}"
    batch = batch_of(generator, rows, positions, kept)
    shapes = dict(
        input=(positions, symbols, hidden),
        length=(positions, hidden),
        output=(positions, symbols, hidden),
        output_bias=(positions, symbols),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        def logits_of(text, masks, n):
            # A dense layer over one-hot symbols, whose bias depends on how many there are.
            one_hot = one_hot_of(text, masks, symbols)
            h = torch.relu(torch.einsum("lv,lvh->h", one_hot, p["input"][:n]) + p["length"][n - 1])
            return torch.einsum("h,lvh->lv", h, p["output"][:n]) + p["output_bias"][:n]

        return each_text(batch, positions, logits_of)

    put_training(case, parameters, forward, batch, kept, rates(3, 0.01, 1, 0.5), 0.1)


def residual(generator, positions, symbols, hidden, rows, kept):
    case = f"residual{positions}x{symbols}x{hidden}"
    batch = batch_of(generator, rows, positions, kept)
    shapes = dict(
        input=(positions, symbols, hidden),
        length=(positions, hidden),
        residual=(hidden, hidden),
        residual_bias=(hidden,),
        output=(positions, symbols, hidden),
        output_bias=(positions, symbols),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        def logits_of(text, masks, n):
            one_hot = one_hot_of(text, masks, symbols)
            first = torch.relu(torch.einsum("lv,lvh->h", one_hot, p["input"][:n]) + p["length"][n - 1])
            h = first + torch.relu(torch.nn.functional.linear(first, p["residual"], p["residual_bias"]))
            return torch.einsum("h,lvh->lv", h, p["output"][:n]) + p["output_bias"][:n]

        return each_text(batch, positions, logits_of)

    put_training(case, parameters, forward, batch, kept, rates(3, 0.01, 1, 0.5), 0.1)


def transformer(generator, positions, symbols, width, blocks, heads, rows, kept, taps=1):
    case = f"transformer{positions}x{symbols}x{width}x{blocks}x{heads}" + (f"x{taps}" if taps > 1 else "")
    groups = 8 // (taps + 1)
    batch = batch_of(generator, rows, positions, kept)
    shapes = dict(
        token=(symbols, width),
        position=(positions, width),
        from_end=(positions, width),
        attention_gain=(blocks, width),
        query_key_value=(blocks, 3, width, width),
        attention_output=(blocks, width, width),
        mlp_gain=(blocks, width),
        up=(blocks, groups * taps, width, width),
        down=(blocks, groups, width, width),
        final_gain=(width,),
        output=(symbols, width),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        def norm(x, gain):
            return torch.nn.functional.rms_norm(x, (width,), gain, eps=1e-5)

        def logits_of(text, masks, n):
            def split(x):
                return x.view(1, n, heads, width // heads).transpose(1, 2)

            x = features_of(p, text, masks, n)
            for block in range(blocks):
                m = norm(x, p["attention_gain"][block])
                q, k, v = (split(m @ w.T) for w in p["query_key_value"][block])
                mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
                # This matrix and `down` have a row for each input.
                x = x + mixed.transpose(1, 2).reshape(n, width) @ p["attention_output"][block]
                m = norm(x, p["mlp_gain"][block])
                # As many outputs as hidden units; PyTorch has the taps last.
                up = p["up"][block].view(groups, taps, width, width).transpose(1, 2).reshape(-1, taps, width)
                read = torch.nn.functional.conv1d(m.T[None], up.transpose(1, 2), padding=taps // 2)[0].T
                hidden = torch.nn.functional.gelu(read, approximate="tanh")
                x = x + hidden @ p["down"][block].reshape(groups * width, width)
            return norm(x, p["final_gain"]) @ p["output"].T

        return each_text(batch, positions, logits_of)

    put_training(case, parameters, forward, batch, kept, rates(3, 0.01, 1, 0.5), 0.1)


def convolution(generator, positions, symbols, width, layers, taps, rows, kept):
    case = f"convolution{positions}x{symbols}x{width}x{layers}x{taps}"
    batch = batch_of(generator, rows, positions, kept)
    shapes = dict(
        token=(symbols, width),
        position=(positions, width),
        from_end=(positions, width),
        weight=(layers, taps, width, width),
        bias=(layers, width),
        output=(symbols, width),
        output_bias=(symbols,),
    )
    parameters = {name: leaf(uniform(generator, *shape)) for name, shape in shapes.items()}

    def forward(p):
        def logits_of(text, masks, n):
            x = features_of(p, text, masks, n).T[None]
            for weight, bias in zip(p["weight"], p["bias"]):
                # PyTorch has the taps last, and pads the text with zeros.
                x = x + torch.nn.functional.conv1d(torch.relu(x), weight.permute(1, 2, 0), bias, padding=taps // 2)
            return torch.relu(x[0]).T @ p["output"].T + p["output_bias"]

        return each_text(batch, positions, logits_of)

    put_training(case, parameters, forward, batch, kept, rates(3, 0.01, 1, 0.5), 0.1)


def main():
    generator = np.random.default_rng(20240601)
    linear(generator, 37, 11, 3)
    linear(generator, 66, 4, 2)
    softmax(generator, 19, 19)
    softmax(generator, 27, 20)
    relu(generator)
    mlp(generator, 3, 5, 7, 4, 5)
    mlp(generator, 2, 4, 70, 3, 3)
    gelu(generator)
    product(generator, 19, 9, 18)
    product(generator, 3, 7, 5)
    rms_norm(generator, 6, 18)
    attention(generator, 3, 5, 5)
    attention(generator, 8, 17, 17)
    attention(generator, 8, 16, 11)
    attention(generator, 3, 8, 1)
    residual(generator, 3, 5, 16, 4, 4)
    transformer(generator, 3, 5, 4, 2, 2, 4, 5)
    transformer(generator, 17, 4, 6, 1, 3, 3, 3)
    convolution(generator, 5, 4, 6, 2, 3, 4, 4)
    convolution(generator, 17, 5, 4, 1, 5, 3, 3)
    soft_answer(generator, 19, 19, 0.75)
    soft_answer(generator, 27, 20, 1.0)
    transformer(generator, 5, 4, 4, 2, 2, 4, 4, taps=3)
    transformer(generator, 17, 4, 6, 1, 3, 3, 3, taps=3)
    lines = [f"crc32 {zlib.crc32(pathlib.Path(__file__).read_bytes()):08x}"] + LINES
    if "--check" in sys.argv:
        check((HERE / "vectors.txt").read_text().splitlines(), lines)
    else:
        (HERE / "vectors.txt").write_text("\n".join(lines) + "\n")


def check(found, expected):
    """Fails unless the lines agree, their numbers to the last digits: another version may add in another order."""
    if len(found) != len(expected):
        sys.exit(f"vectors.txt has {len(found)} lines and should have {len(expected)}")
    for ours, theirs in zip(found, expected):
        (name, _, ours), (other, _, theirs) = ours.partition(" : "), theirs.partition(" : ")
        ours, theirs = (np.array(numbers.split(), dtype=np.float64) for numbers in (ours, theirs))
        if name != other or ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-12, atol=1e-12):
            sys.exit(f"vectors.txt is stale at {name}; renew it with: python3 tests/oracle/generate.py")
    print(f"{len(found) - 1} vectors are those that NumPy {np.__version__} and PyTorch {torch.__version__} give")


main()
