"""The published crop model in torch, from torchvision's EfficientNetV2 and its published facts.

Independent of this package. Geometry is computed in float64; each crop is a batch of its own.
"""

import torch


def torchvision():
    """torchvision, also where its compiled operators do not load."""
    try:
        import torchvision.models

        return torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        import torchvision.models

        return torchvision


_KEPT = []


class Shifted(torch.nn.Module):
    """A strided convolution padded one less before and one more after."""

    def __init__(self, conv):
        super().__init__()
        self.conv, k = conv, conv.kernel_size[0]
        before = (k - 1) // 2 - 1
        self.padding = [before, k - 1 - before] * 2
        conv.padding = (0, 0)

    def forward(self, x):
        return self.conv(torch.nn.functional.pad(x, self.padding))


class CropModel(torch.nn.Module):
    """`backbone.1` are torchvision's features, `heatmap_heads.conv_final` the head."""

    def __init__(self, config, points):
        super().__init__()
        size = config["efficientnet_size"]
        features = getattr(torchvision().models, f"efficientnet_v2_{size}")().features
        self.backbone = torch.nn.ModuleList([torch.nn.Identity(), features])
        self.heatmap_heads = torch.nn.ModuleDict()
        channels = points * (1 + config["depth"])
        self.heatmap_heads["conv_final"] = torch.nn.Conv2d(
            features[-1][0].out_channels, channels, 1
        )
        self.config, self.points = config, points

    def shift_last_stage(self):
        """For centred strides; after the state dict is saved, for it changes names."""
        strided = [
            (parent, name)
            for parent in self.backbone.modules()
            for name, child in parent.named_children()
            if isinstance(child, torch.nn.Conv2d) and child.stride[0] == 2
        ]
        parent, name = strided[-1]
        setattr(parent, name, Shifted(getattr(parent, name)))

    def forward(self, images, intrinsics):
        """uint8 (b, s, s, 3) and (b, 3, 3) to joints in mm and pixels."""
        head = self.heatmap_heads["conv_final"]
        x = images.permute(0, 3, 1, 2).to(head.weight.dtype) / 255
        logits = head(self.backbone[1](2 * x - 1)).double()
        b, _, h, w = logits.shape
        flat = logits[:, : self.points]
        deep = logits[:, self.points :].reshape(b, self.config["depth"], self.points, h, w)
        at = _soft_argmax(flat.reshape(b, self.points, 1, h, w))
        inside = _soft_argmax(deep.transpose(1, 2))
        px = self._to_px(at[..., :2])
        box = self.config["box_size_mm"]
        xy = self._to_px(inside[..., :2]) * box / self.config["proc_side"]
        relative = torch.cat([xy, inside[..., 2:] * box], -1)
        poses = [
            self._absolute(*one) for one in zip(px, relative, intrinsics.double(), strict=True)
        ]
        return torch.stack(poses), px

    def _to_px(self, at):
        side = self.config["proc_side"]
        shift = 16 * (self.config["centered_stride"] + self.config["legacy_centered_stride_bug"])
        return at * (side - 1 - (side - 1) % 32) + shift

    def limits_px(self):
        """Between which pixels a joint counts as visible."""
        shift = 0 if self.config["centered_stride"] else -16
        return 24 + shift, self.config["proc_side"] - 24 + shift

    def _absolute(self, px, relative, intrinsics):
        first, last = self.limits_px()
        visible = ((px >= first) & (px <= last)).all(-1)
        ones = torch.ones(len(px), 1, dtype=px.dtype)
        plane = (torch.cat([px, ones], -1) @ torch.linalg.inv(intrinsics).T)[:, :2]
        scale = plane.square().mean().sqrt()
        eye = torch.eye(2, dtype=px.dtype).repeat(len(px), 1)
        a = torch.cat([eye, -plane.reshape(-1, 1) / scale], 1)
        b = (plane * relative[:, 2:] - relative[:, :2]).reshape(-1)
        rows = (visible.double() + 1e-4).repeat_interleave(2)
        a = torch.cat([a * rows[:, None], 0.1 * torch.eye(3, dtype=px.dtype)])
        b = torch.cat([b * rows, torch.zeros(3, dtype=px.dtype)])
        t = torch.linalg.lstsq(a, b[:, None], driver="gelsd").solution[:, 0]
        t = torch.cat([t[:2], t[2:] / scale])
        moved = relative + t
        rays = torch.cat([plane, ones], -1) * moved[:, 2:]
        mix = self.config["mix_3d_inside_fov"]
        return torch.where(visible[:, None], mix * moved + (1 - mix) * rays, moved)


def _soft_argmax(logits):
    """Expected x, y, z in 0 … 1 of (b, j, d, h, w)."""
    b, j, d, h, w = logits.shape
    heat = logits.reshape(b, j, -1).softmax(-1).reshape(b, j, d, h, w)
    return torch.stack(
        [
            (heat.sum((2, 3)) * torch.linspace(0, 1, w, dtype=heat.dtype)).sum(-1),
            (heat.sum((2, 4)) * torch.linspace(0, 1, h, dtype=heat.dtype)).sum(-1),
            (heat.sum((3, 4)) * torch.linspace(0, 1, d, dtype=heat.dtype)).sum(-1),
        ],
        -1,
    )


def randomise(module, features, images):
    """Random norms whose running statistics are near those of these images; then test mode.

    Residual branches are weaker than what they are added to, as in trained networks: with gains
    around 1, deep ones are so badly conditioned that torch in float32 misses its own float64.
    """
    norms = [one for one in module.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        torch.nn.init.uniform_(norm.weight, 0.2, 0.8)
        torch.nn.init.normal_(norm.bias, 0, 0.2)
    module.train()
    with torch.no_grad():
        features(images)
    for norm in norms:
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.3)
        norm.running_mean += torch.randn_like(norm.running_mean) * 0.1 * norm.running_var.sqrt()
    module.eval()


def random_model(config, points, images):
    """A model with heat maps that are peaked on such uint8 images, so that joints lie all over the
    crop and beyond its border.
    """
    torch.manual_seed(0)
    model = CropModel(config, points)
    pixels = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    randomise(model, model.backbone[1], pixels)
    head = model.heatmap_heads["conv_final"]
    with torch.no_grad():
        spread = head(model.backbone[1](pixels[:1])).std(dim=(2, 3)).mean()
        head.weight *= 4 / float(spread)
    return model
