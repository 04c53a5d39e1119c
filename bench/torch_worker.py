"""Runs networks in PyTorch for the harness beside it.

Reads requests from standard input and answers on standard output, one JSON object a line. A network comes as the list of its
operators, in ONNX's terms, with weights and inputs in a file of little-endian float32; nothing about any network is written here.

    {"do": "hello", "threads": 2, "cpu": false}            -> {"version", "threads", "blas"}
    {"do": "load", "net": FILE, "data": FILE, "mode": M}   -> {"id", "setting", "tried", "value"}
    {"do": "gemm", "size": 1024}                           -> {"id", "setting"}
    {"do": "run", "id": 1, "steps": 5}                     -> {"seconds"}
    {"do": "learn", "net", "data", "batches": FILE, ...}   -> {"losses"}
    {"do": "free", "id": 1}, {"do": "peak"}                -> {}, {"bytes"}

Modes: train (forward, backward, SGD), search (the same, with masks and their top-k), frozen (masks alone), infer.
"""
import gc
import json
import sys
import time
import warnings

import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore")


class Net(torch.nn.Module):
    """Interprets a list of operators. Values are dropped after their last use, as local variables of a written network would be."""

    def __init__(self, desc, data):
        super().__init__()
        self.desc = desc
        self.params, self.stats, self.whole, self.inputs = {}, {}, {}, {}
        trainable = set(desc["trainable"])
        for name, w in desc["weights"].items():
            if "ints" in w:
                self.whole[name] = w["ints"]
                continue
            n = 1
            for d in w["shape"]:
                n *= d
            t = data[w["at"]:w["at"] + n].reshape(w["shape"]).clone()
            if name in trainable:
                self.params[name] = torch.nn.Parameter(t)
                self.register_parameter("p%d" % len(self.params), self.params[name])
            else:
                self.stats[name] = t
                self.register_buffer("b%d" % len(self.stats), t)
        for v in desc["inputs"]:
            n = 1
            for d in v["shape"]:
                n *= d
            self.inputs[v["name"]] = data[v["at"]:v["at"] + n].reshape(v["shape"]).clone()
        self.steps = self.fuse(desc["nodes"])
        last = {}
        for i, n in enumerate(self.steps):
            for v in n["in"]:
                last[v] = i
        for i, n in enumerate(self.steps):
            n["drop"] = [v for v in set(n["in"]) if last[v] == i and v not in self.params and v not in self.stats]
            # In place where this is the only reader and what is overwritten is not needed for the gradient of its producer.
            n["over"] = bool(n["in"]) and n["from"] in ("BatchNormalization", "Add") and n["readers"] == 1
        self.names = [(k, "p%d" % (i + 1)) for i, k in enumerate(self.params)] + [(k, "b%d" % (i + 1)) for i, k in enumerate(self.stats)]

    @staticmethod
    def fuse(nodes):
        """Writes x·sigmoid(x) as silu, and notes for each node what made its first operand and how many read that."""
        readers, made = {}, {}
        for n in nodes:
            for v in n["in"]:
                readers.setdefault(v, []).append(n)
            for v in n["out"]:
                made[v] = n
        out, gone = [], set()
        for n in nodes:
            if n["op"] == "Mul":
                for a, b in (n["in"], n["in"][::-1]):
                    s = made.get(b)
                    if s and s["op"] == "Sigmoid" and s["in"] == [a] and len(readers[b]) == 1:
                        gone.add(b)
                        n["op"], n["in"] = "Silu", [a]
                        break
        for n in nodes:
            if n["out"][0] in gone:
                continue
            x = n["in"][0] if n["in"] else ""
            n["from"] = made[x]["op"] if x in made else ""
            n["readers"] = len(readers.get(x, ()))
            out.append(n)
        return out

    def forward(self, **inputs):
        env = dict(inputs)
        for name, attribute in self.names:
            env[name] = getattr(self, attribute)
        for n in self.steps:
            y = OPS[n["op"]](self, n, [env.get(v) for v in n["in"]])
            for v in n["drop"]:
                env.pop(v, None)
            env[n["out"][0]] = y
        return env[self.desc["result"]]


def conv(net, n, x):
    a = n["attrs"]
    pads = a.get("pads", [0, 0, 0, 0])
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        x[0] = F.pad(x[0], (pads[1], pads[3], pads[0], pads[2]))
        pads = [0] * len(pads)
    return F.conv2d(x[0], x[1], x[2] if len(x) > 2 else None, a.get("strides", 1), pads[:half], a.get("dilations", 1), a.get("group", 1))


def batchnorm(net, n, x):
    a = n["attrs"]
    return F.batch_norm(x[0], x[3], x[4], x[1], x[2], net.training, 1 - a.get("momentum", 0.9), a.get("epsilon", 1e-5))


def clip(net, n, x):
    lo, hi = (float(v) for v in x[1:3])
    return F.hardtanh(x[0], lo, hi, inplace=n["over"])


def cut(net, n, x):
    starts, ends, axes, steps = (net.whole[v] for v in n["in"][1:5])
    at = [slice(None)] * x[0].dim()
    for s, e, a, k in zip(starts, ends, axes, steps):
        at[a] = slice(s, min(e, x[0].shape[a]), k)
    return x[0][tuple(at)]


def pad(net, n, x):
    p = net.whole[n["in"][1]]
    half = len(p) // 2
    return F.pad(x[0], [v for i in reversed(range(half)) for v in (p[i], p[half + i])])


def pool(net, n, x):
    a = n["attrs"]
    return F.max_pool2d(x[0], a["kernel_shape"], a.get("strides", 1), a.get("pads", [0, 0])[:2])


def gather(net, n, x):
    key = n["in"][1]
    if isinstance(net.whole[key], list):
        net.whole[key] = torch.tensor(net.whole[key])
    return x[0].index_select(n["attrs"].get("axis", 0), net.whole[key])


OPS = {
    "Conv": conv,
    "BatchNormalization": batchnorm,
    "Relu": lambda net, n, x: F.relu(x[0], inplace=n["over"]),
    "Clip": clip,
    "Sigmoid": lambda net, n, x: torch.sigmoid(x[0]),
    "Silu": lambda net, n, x: F.silu(x[0]),
    "Add": lambda net, n, x: x[0] + x[1],
    "Mul": lambda net, n, x: x[0] * x[1],
    "GlobalAveragePool": lambda net, n, x: F.adaptive_avg_pool2d(x[0], 1),
    "MaxPool": pool,
    "Flatten": lambda net, n, x: torch.flatten(x[0], n["attrs"].get("axis", 1)),
    "Gemm": lambda net, n, x: F.linear(x[0], x[1], x[2]),
    "Slice": cut,
    "Pad": pad,
    "Concat": lambda net, n, x: torch.cat(x, n["attrs"]["axis"]),
    "Gather": gather,
    "Reshape": lambda net, n, x: x[0].reshape(net.whole[n["in"][1]]),
    "Unsqueeze": lambda net, n, x: x[0].reshape(x[0].shape + (1,) * len(net.whole[n["in"][1]])),
    "CrossEntropy": lambda net, n, x: F.cross_entropy(x[0], x[1]),
}


class Job:
    """One network in one mode; step does what is timed."""

    def __init__(self, desc, data, mode, last):
        self.net, self.mode = Net(desc, data), mode
        self.net.train(mode != "infer")
        self.inputs = dict(self.net.inputs)
        self.last = last
        if last:
            for p in self.net.parameters():
                if p.dim() == 4:
                    p.data = p.data.contiguous(memory_format=torch.channels_last)
        for k, v in self.inputs.items():
            if v.dim() == 4 and last:
                self.inputs[k] = v.contiguous(memory_format=torch.channels_last)
        self.masks = []
        if mode in ("search", "frozen"):
            for m in desc["masks"]:
                c = self.inputs.pop(m["name"])
                self.masks.append((m["name"], m["sharpness"] * len(c), c, torch.tensor(m["ratio"], requires_grad=True)))
        if mode == "frozen":
            for p in self.net.parameters():
                p.requires_grad_(False)
        if mode in ("train", "search"):
            self.sgd = torch.optim.SGD(self.net.parameters(), lr=desc["rate"], momentum=0.9, nesterov=True)
        self.compiled = None

    def compile(self):
        """Traces the network and lets torch fold batch norms and choose layouts. For inference alone."""
        net, (name, x) = self.net, next(iter(self.inputs.items()))

        class Plain(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, x):
                return self.net(**{name: x})

        with torch.no_grad():
            traced = torch.jit.trace(Plain().eval(), x, check_trace=False)
            self.compiled = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        self.x = x

    def step(self):
        if self.mode == "infer":
            with torch.inference_mode():
                return self.compiled(self.x) if self.compiled else self.net(**self.inputs)
        masks, fed = {}, self.inputs
        if self.masks:
            for name, slope, c, a in self.masks:
                rank = (c.argsort().argsort().float() + 0.5) / len(c)
                masks[name] = torch.sigmoid(slope * (rank - a))
                masks[name].retain_grad()
                a.grad = None
            fed = {**self.inputs, **masks}
        if self.mode != "frozen":
            self.sgd.zero_grad(set_to_none=True)
        loss = self.net(**fed)
        loss.backward()
        if self.mode != "frozen":
            self.sgd.step()
        with torch.no_grad():
            for name, slope, c, a in self.masks:
                c.mul_(0.99).add_((masks[name] * masks[name].grad) ** 2, alpha=0.01)
        return loss


clock = time.perf_counter


def timed(job, steps):
    start = clock()
    for _ in range(steps):
        job.step()
    return clock() - start


def load(request):
    """Tries what torch offers for this network and keeps the fastest."""
    with open(request["net"]) as f:
        desc = json.load(f)
    mode, tried, best, value = request["mode"], {}, None, None
    variants = request.get("only") or ["contiguous", "channels_last"] + (["contiguous, compiled", "channels_last, compiled"] if mode == "infer" else [])
    for name in variants:
        # The file is let go again at once, for it would count as memory of the network.
        data = torch.from_file(request["data"], False, desc["floats"], dtype=torch.float32)
        job = Job(json.loads(json.dumps(desc)), data, mode, name.startswith("channels_last"))
        data = None
        try:
            if name.endswith("compiled"):
                job.compile()
            first = job.step()
            if value is None:
                value = first.detach().reshape(-1)[:8].tolist()
            if mode == "infer":
                timed(job, 2)
            steps = 1
            took = timed(job, 1)
            while took < 0.2:
                steps *= 4
                took = timed(job, steps)
            tried[name] = min(took, timed(job, steps)) / steps
        except RuntimeError as err:
            tried[name] = str(err).splitlines()[0]
            continue
        if best is None or tried[name] < tried[best[0]]:
            best = (name, job)
        job = None
        gc.collect()
    return best[1], {"setting": best[0], "tried": tried, "value": value}


def learn(request):
    """Takes a training step on each of the given batches."""
    with open(request["net"]) as f:
        desc = json.load(f)
    desc["rate"] = request["rate"]
    data = torch.from_file(request["data"], False, desc["floats"], dtype=torch.float32)
    job = Job(desc, data, "train", request["format"] == "channels_last")
    before = torch.get_num_threads()
    torch.set_num_threads(request["threads"])
    batches = torch.from_file(request["batches"], False, request["floats"], dtype=torch.float32).reshape(request["count"], -1)
    image, target = job.inputs[request["image"]], job.inputs[request["target"]]
    losses = []
    for batch in batches:
        x, y = batch[:image.numel()].reshape(image.shape), batch[image.numel():].reshape(target.shape)
        job.inputs[request["image"]] = x.contiguous(memory_format=torch.channels_last) if job.last else x.clone()
        job.inputs[request["target"]] = y.clone()
        losses.append(float(job.step()))
    torch.set_num_threads(before)
    return {"losses": losses}


class Product:
    def __init__(self, n):
        self.a, self.b, self.c = torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)

    def step(self):
        torch.mm(self.a, self.b, out=self.c)


def mapped(part):
    with open("/proc/self/maps") as f:
        return sorted({line.split()[-1].split("/")[-1] for line in f if part in line})


def main():
    global clock
    jobs, ids = {}, 0
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        try:
            do = request["do"]
            if do == "hello":
                if request["cpu"]:
                    clock = time.process_time
                torch.set_num_threads(request["threads"])
                torch.mm(torch.zeros(8, 8), torch.zeros(8, 8))
                answer = {"version": torch.__version__, "threads": torch.get_num_threads(), "blas": ", ".join(mapped("blas")), "malloc": ", ".join(mapped("malloc"))}
            elif do == "load":
                ids += 1
                jobs[ids], answer = load(request)
                answer["id"] = ids
            elif do == "gemm":
                ids += 1
                jobs[ids] = Product(request["size"])
                jobs[ids].step()
                answer = {"id": ids, "setting": "out="}
            elif do == "run":
                answer = {"seconds": timed(jobs[request["id"]], request["steps"])}
            elif do == "learn":
                answer = learn(request)
            elif do == "free":
                jobs.pop(request["id"], None)
                gc.collect()
            elif do == "peak":
                with open("/proc/self/status") as f:
                    answer = {"bytes": next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))}
            else:
                answer = {"error": "unknown request %r" % do}
        except Exception as err:  # an answer in any case, or the harness would wait for ever
            answer = {"error": "%s: %s" % (type(err).__name__, err)}
        print(json.dumps(answer), flush=True)


main()
