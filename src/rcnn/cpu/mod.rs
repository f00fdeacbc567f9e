//! The network on the kernels for CPUs: channels last, weights packed, ReLU and additions done where a layer's results are made.

mod heads;
mod layer;

use image::RgbImage;

use self::heads::{BoxHead, MaskHead};
use self::layer::{Layer, with_filters};
use super::config::{Config, FuseType};
use super::image_input::image_for_cpu;
use super::network::{Network, Output};
use super::resnet::Bottleneck;
use super::rpn::{Proposals, RpnDecoder};
use super::{Error, Result, Stop, go_on};
use crate::kernels::{self, Image, Isa, Map, Pool, Stem, Then};

pub(super) struct Cpu {
    pool: Pool,
    stem: Stem,
    stages: Vec<Vec<Block>>,
    lateral: Vec<Layer>,
    output: Vec<Layer>,
    fuse: FuseType,
    rpn_conv: Layer,
    /// Objectness of a cell's anchors, then their deltas.
    rpn_answers: kernels::Conv,
    rpn: RpnDecoder,
    box_head: BoxHead,
    mask_head: Option<MaskHead>,
}

struct Block {
    conv1: Layer,
    conv2: Layer,
    conv3: Layer,
    shortcut: Option<Layer>,
}

impl Cpu {
    /// See [`Pool::work`].
    pub fn work(&self) -> u64 {
        self.pool.work()
    }

    /// Not a network whose first layer has a group norm.
    pub fn can_run(network: &Network) -> bool {
        network.backbone.bottom_up.stem.norm.is_none()
    }

    /// Takes the weights over, layer by layer.
    pub fn pack(network: Network) -> Result<Self> {
        let isa = Isa::best();
        let Network { backbone, rpn, box_head, mask_head } = network;
        let bottom_up = backbone.bottom_up;
        let stem = with_filters(&bottom_up.stem, |filters| Stem::new(isa, filters))?;
        let stages = bottom_up.stages.into_iter().map(|stage| stage.into_iter().map(|b| Block::pack(isa, b)).collect());
        let stages = stages.collect::<Result<Vec<Vec<Block>>>>()?;
        let pack = |conv| Layer::pack(isa, conv, true);
        Ok(Self {
            pool: Pool::default(),
            stem,
            stages,
            lateral: backbone.lateral.into_iter().map(pack).collect::<Result<_>>()?,
            output: backbone.output.into_iter().map(pack).collect::<Result<_>>()?,
            fuse: backbone.fuse,
            rpn_answers: heads::join(isa, &rpn.head.objectness_logits, &rpn.head.anchor_deltas)?,
            rpn_conv: pack(rpn.head.conv)?,
            rpn: rpn.decoder,
            box_head: BoxHead::pack(isa, box_head)?,
            mask_head: mask_head.map(|head| MaskHead::pack(isa, head)).transpose()?,
        })
    }

    /// Calls `mark` with each stage's name when it is over.
    pub fn run(
        &self,
        image: &RgbImage,
        config: &Config,
        threshold: f32,
        stop: Stop<'_>,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<Output> {
        let (input, size) = image_for_cpu(image, config)?;
        mark("resize");
        let levels = self.levels(input, stop)?;
        mark("ResNet");
        let features = self.pyramid(levels, stop)?;
        mark("pyramid");
        let proposals = self.propose(&features, size, stop)?;
        mark("proposals");
        let instances = self.box_head.run(&features, &proposals, size, threshold, stop)?;
        mark("box head");
        let masks = self.mask_head.as_ref().map(|head| head.run(&features, &instances, stop)).transpose()?;
        mark("mask head");
        let mask_side = self.mask_head.as_ref().map_or(0, MaskHead::side);
        Ok(Output { instances, masks, mask_side, size })
    }

    /// The stem's result and res2 … res5.
    fn levels(&self, image: Image, stop: Stop<'_>) -> Result<Vec<Map>> {
        let mut levels = vec![kernels::max_pool(&self.stem.forward(&image, &self.pool))];
        drop(image);
        for stage in &self.stages {
            let mut blocks = stage.iter();
            let (Some(first), Some(below)) = (blocks.next(), levels.last()) else {
                return Err(Error::Config("MODEL.RESNETS has a stage without blocks".into()));
            };
            let mut x = first.enter(below)?;
            for block in blocks {
                go_on(stop)?;
                x = block.forward(x)?;
            }
            levels.push(x);
        }
        Ok(levels)
    }

    /// p2 … p6.
    fn pyramid(&self, mut levels: Vec<Map>, stop: Stop<'_>) -> Result<Vec<Map>> {
        let mut features = vec![];
        let mut above: Option<Map> = None;
        for (lateral, output) in self.lateral.iter().zip(&self.output).rev() {
            go_on(stop)?;
            let Some(level) = levels.pop() else { break };
            let mut merged = lateral.forward(&level, Then::default())?;
            drop(level);
            if let Some(above) = above {
                kernels::add_upsampled(&mut merged, &above, self.fuse == FuseType::Avg);
            }
            features.push(output.forward(&merged, Then::default())?);
            above = Some(merged);
        }
        let top = features.first().map(kernels::subsample);
        features.reverse();
        features.extend(top);
        Ok(features)
    }

    fn propose(&self, features: &[Map], (width, height): (usize, usize), stop: Stop<'_>) -> Result<Proposals> {
        let count = self.rpn.anchors_per_cell();
        let mut candidates = vec![];
        for (level, feature) in features.iter().enumerate() {
            go_on(stop)?;
            let hidden = self.rpn_conv.forward(feature, Then::relu())?;
            let answers = self.rpn_answers.forward(&hidden, Then::default());
            let (data, stride) = (answers.data(), answers.stride);
            let logits: Vec<f32> = data.chunks_exact(stride).flat_map(|cell| &cell[..count]).copied().collect();
            let delta = |cell: usize, a: usize| {
                let at = cell * stride + count + a * 4;
                [data[at], data[at + 1], data[at + 2], data[at + 3]]
            };
            self.rpn.decode(level, feature.width, count, &logits, delta, (width, height), &mut candidates);
        }
        Ok(self.rpn.select(&candidates))
    }
}

impl Block {
    fn pack(isa: Isa, block: Bottleneck) -> Result<Self> {
        Ok(Self {
            conv1: Layer::pack(isa, block.conv1, true)?,
            conv2: Layer::pack(isa, block.conv2, true)?,
            conv3: Layer::pack(isa, block.conv3, true)?,
            shortcut: block.shortcut.map(|conv| Layer::pack(isa, conv, true)).transpose()?,
        })
    }

    /// The stage's first block: what is below is still needed.
    fn enter(&self, x: &Map) -> Result<Map> {
        let y = self.narrow(x)?;
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(x, Then::default())?,
            None => x.duplicate(),
        };
        self.conv3.forward(&y, Then { relu: true, add_to: Some(shortcut) })
    }

    fn forward(&self, x: Map) -> Result<Map> {
        let y = self.narrow(&x)?;
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(&x, Then::default())?,
            None => x,
        };
        self.conv3.forward(&y, Then { relu: true, add_to: Some(shortcut) })
    }

    fn narrow(&self, x: &Map) -> Result<Map> {
        let y = self.conv1.forward(x, Then::relu())?;
        self.conv2.forward(&y, Then::relu())
    }
}
