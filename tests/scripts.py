"""Short programs in the style of public training scripts; each leaves a number in `result`.

They are written for PyTorch's names; `substituted` changes the import lines only.
"""

from __future__ import annotations

import re


def substituted(text: str) -> str:
    """The script with fastconv in its imports in place of torch."""
    text = re.sub(r"^(\s*)import torch$", r"\1import fastconv as torch", text, flags=re.M)
    return re.sub(r"^(\s*)(import|from) torch\b", r"\1\2 fastconv", text, flags=re.M)


SCRIPTS: dict[str, str] = {}

SCRIPTS["mnist"] = """
from __future__ import print_function
import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset
from torch.optim.lr_scheduler import StepLR


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 1)
        self.conv2 = nn.Conv2d(4, 8, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(self.dropout1(x), 1)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


def train(args, model, device, train_loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print("Train Epoch: {} [{}/{}]\\tLoss: {:.6f}".format(
                epoch, batch_idx * len(data), len(train_loader.dataset), loss.item()))


def test(model, device, test_loader):
    model.eval()
    test_loss = correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    return test_loss / len(test_loader.dataset)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--gamma", type=float, default=0.7)
    parser.add_argument("--no-accel", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-interval", type=int, default=10)
    args = parser.parse_args()
    use_accel = not args.no_accel and torch.accelerator.is_available()
    torch.manual_seed(args.seed)
    device = torch.accelerator.current_accelerator() if use_accel else torch.device("cpu")
    kwargs = {"batch_size": args.batch_size, "shuffle": True}
    if use_accel:
        kwargs.update({"num_workers": 1, "pin_memory": True})
    data = TensorDataset(torch.randn(24, 1, 8, 8), torch.randint(0, 10, (24,)))
    loader = DataLoader(data, **kwargs)
    model = Net().to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, loader, optimizer, epoch)
        loss = test(model, device, loader)
        scheduler.step()
    torch.save(model.state_dict(), "mnist_cnn.pt")
    model.load_state_dict(torch.load("mnist_cnn.pt", map_location=lambda storage, loc: storage))
    return loss


if __name__ == "__main__":
    result = main()
"""

SCRIPTS["dcgan"] = """
import random
import torch
import torch.nn as nn
import torch.nn.parallel
import torch.backends.cudnn as cudnn
import torch.optim as optim
import torch.utils.data
from torch.autograd import Variable

manualSeed = random.randint(1, 10000)
random.seed(manualSeed)
torch.manual_seed(manualSeed)
cudnn.benchmark = True
if torch.backends.mps.is_available():
    device = torch.device("mps")
elif torch.cuda.is_available():
    device = torch.device("cuda:0")
else:
    device = torch.device("cpu")
ngpu, nz, ngf, ndf, nc = 1, 6, 4, 4, 3


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        torch.nn.init.normal_(m.weight, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        m.weight.data.normal_(1.0, 0.02)
        m.bias.data.fill_(0)


class Generator(nn.Module):
    def __init__(self, ngpu):
        super(Generator, self).__init__()
        self.ngpu = ngpu
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, nc, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        if input.is_cuda and self.ngpu > 1:
            return nn.parallel.data_parallel(self.main, input, range(self.ngpu))
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super(Discriminator, self).__init__()
        self.main = nn.Sequential(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input).view(-1, 1).squeeze(1)


netG = Generator(ngpu).to(device)
netG.apply(weights_init)
netD = nn.DataParallel(Discriminator().to(device))
netD.apply(weights_init)
criterion = nn.BCELoss()
input = torch.FloatTensor(4, 3, 8, 8)
fixed_noise = Variable(torch.FloatTensor(4, nz, 1, 1).normal_(0, 1))
label = torch.FloatTensor(4)
if torch.cuda.is_available():
    criterion, input, label = criterion.cuda(), input.cuda(), label.cuda()
optimizerD = optim.Adam(netD.parameters(), lr=0.0002, betas=(0.5, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=0.0002, betas=(0.5, 0.999))
for step in range(3):
    real = torch.rand(4, 3, 8, 8) * 2 - 1
    netD.zero_grad()
    input.resize_as_(real).copy_(real) if hasattr(input, "resize_as_") else input.copy_(real)
    labelv = Variable(label.fill_(1))
    errD_real = criterion(netD(Variable(input)), labelv)
    errD_real.backward()
    noise = torch.randn(4, nz, 1, 1, device=device)
    fake = netG(noise)
    label.fill_(0)
    errD_fake = criterion(netD(fake.detach()), label.clone())
    errD_fake.backward()
    errD = errD_real + errD_fake
    optimizerD.step()
    netG.zero_grad()
    errG = criterion(netD(fake), torch.full((4,), 1.0, dtype=real.dtype, device=device))
    errG.backward()
    optimizerG.step()
torch.save(netG.state_dict(), "netG_epoch_%d.pth" % 0)
result = errD.item() + errG.item() + netG(fixed_noise).data.mean().item()
"""

SCRIPTS["resnet"] = """
import os
import torch
import torch.nn as nn
import torch.utils.model_zoo as model_zoo
from torch import Tensor
from torch.hub import load_state_dict_from_url
from torch.nn.modules.batchnorm import _BatchNorm
from typing import Any, Callable, List, Optional, Type

__all__ = ["ResNet", "resnet10"]
model_urls = {"resnet10": "https://example.org/models/resnet10.pth"}


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_planes, out_planes, kernel_size=3, stride=stride, padding=dilation,
                     bias=False, dilation=dilation)


class BasicBlock(nn.Module):
    expansion: int = 1

    def __init__(self, inplanes, planes, stride=1, downsample: Optional[nn.Module] = None,
                 norm_layer: Optional[Callable[..., nn.Module]] = None) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, block: Type[BasicBlock], layers: List[int], num_classes: int = 5,
                 zero_init_residual: bool = True) -> None:
        super().__init__()
        self.inplanes = 4
        self.conv1 = nn.Conv2d(3, 4, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 4, layers[0])
        self.layer2 = self._make_layer(block, 8, layers[1], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * block.expansion, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (_BatchNorm, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, BasicBlock) and m.bn2.weight is not None:
                    nn.init.constant_(m.bn2.weight, 0)

    def _make_layer(self, block, planes, blocks, stride=1):
        downsample = None
        if stride != 1 or self.inplanes != planes:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))
        layers = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes
        layers += [block(planes, planes) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)

    @torch.jit.ignore
    def no_weight_decay(self):
        return {"fc.bias"}


def resnet10(pretrained: bool = False, progress: bool = True, **kwargs: Any) -> ResNet:
    model = ResNet(BasicBlock, [1, 1], **kwargs)
    if pretrained:
        os.makedirs("cache", exist_ok=True)
        torch.save(model.state_dict(), "cache/resnet10.pth")
        state = load_state_dict_from_url(model_urls["resnet10"], "cache", progress=progress)
        model.load_state_dict(state)
        model.load_state_dict(model_zoo.load_url(model_urls["resnet10"], model_dir="cache"))
    return model


model = resnet10(pretrained=True)
if not torch.jit.is_scripting():
    scripted = torch.jit.script(model)
for p in model.parameters():
    p._no_weight_decay = p.ndim == 1
groups = [
    {"params": [p for p in model.parameters() if not p._no_weight_decay], "weight_decay": 1e-4},
    {"params": [p for p in model.parameters() if p._no_weight_decay], "weight_decay": 0.0},
]
optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
loss = nn.CrossEntropyLoss(label_smoothing=0.1)(
    scripted(torch.randn(2, 3, 32, 32)), torch.LongTensor([0, 3]))
loss.backward()
optimizer.step()
result = loss.item()
"""

SCRIPTS["super-resolution"] = """
from math import log10
import torch
import torch.nn as nn
import torch.nn.init as init
import torch.optim as optim
from torch.utils.data import DataLoader
import torch.utils.data as data


class Pairs(data.Dataset):
    def __init__(self, upscale_factor):
        super(Pairs, self).__init__()
        self.target = torch.rand(8, 1, 8 * upscale_factor, 8 * upscale_factor)

    def __getitem__(self, index):
        target = self.target[index]
        small = nn.functional.interpolate(
            target[None], scale_factor=0.5, mode="bicubic", antialias=True)
        return small[0].clamp(0, 1), target

    def __len__(self):
        return len(self.target)


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super(Net, self).__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 8, (5, 5), (1, 1), (2, 2))
        self.conv4 = nn.Conv2d(8, upscale_factor ** 2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        return self.pixel_shuffle(self.conv4(self.relu(self.conv1(x))))

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv4.weight)


cuda = False
if cuda and not torch.cuda.is_available():
    raise Exception("No GPU found, please run without --cuda")
device = torch.device("cuda" if cuda else "cpu")
torch.manual_seed(123)
loader = DataLoader(dataset=Pairs(2), num_workers=0, batch_size=4, shuffle=True)
model = Net(upscale_factor=2).to(device)
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)
for epoch in range(2):
    epoch_loss = 0
    for iteration, batch in enumerate(loader, 1):
        input, target = batch[0].to(device), batch[1].to(device)
        optimizer.zero_grad()
        loss = criterion(model(input), target)
        epoch_loss += loss.item()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    mse = criterion(model(input), target)
result = 10 * log10(1 / mse.item())
"""

SCRIPTS["wgan-gp"] = """
import torch
import torch.nn as nn
import torch.autograd as autograd
from torch.autograd import Variable

cuda = True if torch.cuda.is_available() else False
Tensor = torch.cuda.FloatTensor if cuda else torch.FloatTensor
lambda_gp = 10
D = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1))
optimizer_D = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.9))


def compute_gradient_penalty(D, real_samples, fake_samples):
    alpha = Tensor(torch.rand(real_samples.size(0), 1, 1, 1).numpy())
    interpolates = (alpha * real_samples + ((1 - alpha) * fake_samples)).requires_grad_(True)
    d_interpolates = D(interpolates)
    fake = Variable(Tensor(real_samples.shape[0], 1).fill_(1.0), requires_grad=False)
    gradients = autograd.grad(
        outputs=d_interpolates, inputs=interpolates, grad_outputs=fake, create_graph=True,
        retain_graph=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


for i in range(2):
    real_imgs = Variable(torch.randn(4, 1, 8, 8).type(Tensor))
    fake_imgs = Variable(Tensor(4, 1, 8, 8).uniform_(-1, 1))
    optimizer_D.zero_grad()
    gradient_penalty = compute_gradient_penalty(D, real_imgs.data, fake_imgs.data)
    d_loss = -torch.mean(D(real_imgs)) + torch.mean(D(fake_imgs)) + lambda_gp * gradient_penalty
    d_loss.backward()
    optimizer_D.step()
    for p in D.parameters():
        p.data.clamp_(-1, 1)
result = d_loss.data.item()
"""

SCRIPTS["u-net"] = """
import logging
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.utils.data import DataLoader, random_split, TensorDataset


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        mid = mid_channels or out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid), nn.ReLU(inplace=True),
            nn.Conv2d(mid, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear=True):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, 2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        diffY, diffX = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inc, self.down = DoubleConv(1, 4), nn.Sequential(nn.MaxPool2d(2), DoubleConv(4, 4))
        self.up, self.outc = Up(8, 4), nn.Conv2d(4, 1, 1)

    def use_checkpointing(self):
        self.down = torch.utils.checkpoint.checkpoint(self.down)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = torch.utils.checkpoint.checkpoint(self.down, x1, use_reentrant=False)
        return self.outc(self.up(x2, x1))


def dice_loss(input, target, epsilon=1e-6):
    inter = 2 * (input * target).sum(dim=(-1, -2))
    sets_sum = input.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
    sets_sum = torch.where(sets_sum == 0, inter, sets_sum)
    return 1 - ((inter + epsilon) / (sets_sum + epsilon)).mean()


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
amp = False
logging.info(f"Using device {device}")
model = UNet().to(memory_format=torch.channels_last, device=device)
dataset = TensorDataset(torch.rand(6, 1, 13, 15), (torch.rand(6, 13, 15) > 0.5).long())
train_set, val_set = random_split(dataset, [4, 2], generator=torch.Generator().manual_seed(0))
loader = DataLoader(train_set, shuffle=True, batch_size=2, num_workers=0, pin_memory=True)
optimizer = optim.RMSprop(model.parameters(), lr=1e-5, weight_decay=1e-8, momentum=0.999,
                          foreach=True)
scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=5)
grad_scaler = torch.cuda.amp.GradScaler(enabled=amp)
criterion = nn.BCEWithLogitsLoss()
for epoch in range(1, 3):
    model.train()
    for images, true_masks in loader:
        images = images.to(device=device, dtype=torch.float32, memory_format=torch.channels_last)
        true_masks = true_masks.to(device=device, dtype=torch.long)
        with torch.autocast(device.type if device.type != "mps" else "cpu", enabled=amp):
            masks_pred = model(images)
            loss = criterion(masks_pred.squeeze(1), true_masks.float())
            loss += dice_loss(torch.sigmoid(masks_pred.squeeze(1)), true_masks.float())
        optimizer.zero_grad(set_to_none=True)
        grad_scaler.scale(loss).backward()
        grad_scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        grad_scaler.step(optimizer)
        grad_scaler.update()
    scheduler.step(1 - loss.item())
result = loss.item()
"""

SCRIPTS["amp"] = """
import time
import torch
import torch.nn as nn
from torch.amp import GradScaler, autocast
from torch.utils.data.dataloader import default_collate
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler, get_worker_info

torch.backends.cudnn.deterministic = False
torch.backends.cudnn.benchmark = True
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True
torch.set_float32_matmul_precision("high")
torch.use_deterministic_algorithms(False)


class Squares(Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, i):
        assert get_worker_info() is None
        return torch.full((1, 6, 6), i / 16.0), i % 2


device = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                      nn.Linear(4, 2)).to(device)
model = torch.compile(model, mode="reduce-overhead", dynamic=False)
sampler = WeightedRandomSampler(torch.ones(16), 16)
loader = DataLoader(Squares(), 4, sampler=sampler, collate_fn=default_collate, drop_last=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=False)
warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[2])
scaler = GradScaler(device, enabled=device == "cuda")
start = time.time()
for x, y in loader:
    x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
    with autocast(device_type=device, dtype=dtype):
        loss = nn.functional.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    scheduler.step()
torch.cuda.synchronize()
torch.cuda.empty_cache()
result = loss.item()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(), "scheduler": scheduler.state_dict()}, "ckpt.pth")
checkpoint = torch.load("ckpt.pth", map_location=torch.device(device), weights_only=True)
model.load_state_dict(checkpoint["model"])
optimizer.load_state_dict(checkpoint["optimizer"])
scaler.load_state_dict(checkpoint["scaler"])
"""

SCRIPTS["ddp"] = """
import os
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def setup(rank, world_size):
    os.environ["MASTER_ADDR"] = "localhost"
    os.environ["MASTER_PORT"] = "12355"
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", rank=rank,
                            world_size=world_size)


def cleanup():
    dist.destroy_process_group()


def main(rank, world_size):
    setup(rank, world_size)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Conv2d(1, 2, 3))) \\
        if world_size > 1 else nn.Sequential(nn.Conv2d(1, 2, 3))
    ddp = DDP(model, device_ids=[rank] if torch.cuda.is_available() else None)
    data = TensorDataset(torch.randn(8, 1, 5, 5), torch.randn(8, 2, 3, 3))
    sampler = DistributedSampler(data, num_replicas=world_size, rank=rank)
    loader = DataLoader(data, batch_size=4, sampler=sampler)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.01)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for x, y in loader:
            with ddp.no_sync():
                loss = nn.functional.mse_loss(ddp(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    total = loss.detach().clone()
    dist.all_reduce(total, op=dist.ReduceOp.SUM)
    if dist.get_rank() == 0:
        torch.save(ddp.module.state_dict(), "model.pt")
    dist.barrier()
    cleanup()
    return total.item() / world_size


world_size = max(torch.cuda.device_count(), 1)
if world_size > 1:
    mp.spawn(main, args=(world_size,), nprocs=world_size, join=True)
else:
    result = main(0, world_size)
"""

SCRIPTS["grad-cam"] = """
import numpy as np
import torch
from torch.autograd import Variable, Function
import torch.nn as nn


class GuidedReLU(Function):
    @staticmethod
    def forward(ctx, input):
        mask = (input > 0).type_as(input)
        output = torch.addcmul(torch.zeros(input.size()).type_as(input), input, mask)
        ctx.save_for_backward(input, output)
        return output

    @staticmethod
    def backward(ctx, grad_output):
        input, output = ctx.saved_tensors
        positive = (grad_output > 0).type_as(grad_output)
        return grad_output * (input > 0).type_as(grad_output) * positive


class ReLU(nn.Module):
    def forward(self, x):
        return GuidedReLU.apply(x)


model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(),
                      nn.Linear(4 * 36, 5))
gradients, activations = [], []
model[2].register_forward_hook(lambda m, i, o: activations.append(o))
model[2].register_backward_hook(lambda m, gi, go: gradients.append(go[0]))
x = Variable(torch.from_numpy(np.random.rand(1, 3, 8, 8).astype(np.float32)), requires_grad=True)
output = model(x)
index = np.argmax(output.cpu().data.numpy())
one_hot = np.zeros((1, output.size()[-1]), dtype=np.float32)
one_hot[0][index] = 1
one_hot = Variable(torch.from_numpy(one_hot), requires_grad=True)
one_hot = torch.sum(one_hot.cuda() * output) if x.is_cuda else torch.sum(one_hot * output)
model.zero_grad()
one_hot.backward(retain_graph=True)
weights = gradients[-1].cpu().data.numpy().mean(axis=(2, 3))[0]
cam = np.maximum((weights[:, None, None] * activations[0].cpu().data.numpy()[0]).sum(0), 0)
result = float(cam.sum() + x.grad.abs().sum())
"""

SCRIPTS["vae"] = """
import torch
import torch.utils.data
from torch import nn, optim
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional as F


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.enc = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Flatten())
        self.fc21, self.fc22 = nn.Linear(64, 2), nn.Linear(64, 2)
        self.dec = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Unflatten(1, (4, 4, 4)),
                                 nn.ConvTranspose2d(4, 1, 4, 2, 1))

    def forward(self, x):
        h = self.enc(x)
        q = Normal(self.fc21(h), torch.exp(0.5 * self.fc22(h)))
        return self.dec(q.rsample()), q


torch.manual_seed(1)
model = VAE().to("cpu")
optimizer = optim.Adam(model.parameters(), lr=1e-3)
prior = Normal(torch.zeros(2), torch.ones(2))
for epoch in range(3):
    x = torch.bernoulli(torch.rand(4, 1, 8, 8))
    optimizer.zero_grad()
    logits, q = model(x)
    BCE = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    nll = -Independent(Bernoulli(logits=logits), 3).log_prob(x).sum()
    assert abs(nll.item() - BCE.item()) < 1e-2
    loss = BCE + kl_divergence(q, prior).sum()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    sample = torch.sigmoid(model.dec(torch.randn(4, 2))).cpu()
result = loss.item() / len(x) + sample.mean().item()
"""

SCRIPTS["frequency loss"] = """
import torch
import torch.fft
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.modules.utils import _pair
from torch.nn.parameter import Parameter
from torch.nn import init


class FourierLoss(nn.Module):
    def forward(self, pred, target):
        p, t = torch.fft.rfft2(pred, norm="ortho"), torch.fft.rfft2(target, norm="ortho")
        return F.l1_loss(p.abs(), t.abs()) + torch.view_as_real(p - t).pow(2).mean()


class LowPass(nn.Module):
    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, x):
        z = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))
        h, w = x.shape[-2:]
        mask = x.new_zeros(h, w)
        mask[h // 4:h - h // 4, w // 4:w - w // 4] = self.share
        return torch.fft.ifft2(torch.fft.ifftshift(z * mask, dim=(-2, -1))).real


class MyConv(nn.Module):
    def __init__(self, channels, kernel_size):
        super().__init__()
        self.weight = Parameter(torch.Tensor(channels, 1, *_pair(kernel_size)))
        self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
        init.uniform_(self.weight, -fan_in ** -0.5, fan_in ** -0.5)

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, padding=1)


torch.set_default_tensor_type(torch.FloatTensor)
model = nn.Sequential(MyConv(1, 3), LowPass(0.9))
x, y = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(3):
    optimizer.zero_grad()
    loss = FourierLoss()(model(x), y)
    loss.backward()
    optimizer.step()
result = float(loss)
"""

SCRIPTS["own optimiser"] = """
import math
import torch
from torch.optim.optimizer import Optimizer, required
from torch.optim.lr_scheduler import _LRScheduler, LambdaLR
from torch import nn


class RAdam(Optimizer):
    def __init__(self, params, lr=required, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super(RAdam, self).__init__(params, defaults)

    def __setstate__(self, state):
        super(RAdam, self).__setstate__(state)

    def step(self, closure=None):
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad.data.float()
                if grad.is_sparse:
                    raise RuntimeError("RAdam does not support sparse gradients")
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(p.data)
                    state["exp_avg_sq"] = torch.zeros_like(p.data).type_as(p.data)
                exp_avg, exp_avg_sq = state["exp_avg"], state["exp_avg_sq"]
                beta1, beta2 = group["betas"]
                exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)
                state["step"] += 1
                size = group["lr"] / (1 - beta1 ** state["step"])
                p.data.addcdiv_(exp_avg, exp_avg_sq.sqrt().add_(group["eps"]), value=-size)
        return loss


class WarmUp(_LRScheduler):
    def __init__(self, optimizer, total, last_epoch=-1):
        self.total = total
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * min(1.0, (self.last_epoch + 1) / self.total) for base in self.base_lrs]


torch.manual_seed(0)
model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 1))
optimizer = RAdam(model.parameters(), lr=0.01)
scheduler = WarmUp(optimizer, 3)
x, y = torch.randn(4, 1, 8), torch.randn(4, 1)
for epoch in range(4):
    with torch.autograd.set_detect_anomaly(True):
        loss = nn.functional.smooth_l1_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 0.5)
    optimizer.step()
    scheduler.step()
optimizer.load_state_dict(optimizer.state_dict())
with torch.autograd.profiler.profile(use_cuda=False, record_shapes=True) as prof:
    with torch.autograd.profiler.record_function("model"):
        model(x)
print(prof.key_averages())
result = loss.item() if not math.isnan(loss.item()) else float("inf")
"""
