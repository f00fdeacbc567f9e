//! docreader finds titles, text, lists, tables and figures in documents: a Detectron2 model behind a REST API.

pub mod documents;
pub mod kernels;
pub mod pipeline;
pub mod rcnn;
pub mod render;
pub mod storage;
