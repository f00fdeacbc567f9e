//! docreader finds titles, text, lists, tables and figures in documents: a Detectron2 model behind a REST API.

pub mod kernels;
pub mod rcnn;
