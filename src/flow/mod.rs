pub(crate) mod return_to;
