#[derive(Debug, Default)]
pub struct MemoryStore {}
