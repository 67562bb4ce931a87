import TrafficPolicy

/// The bounds of blocks.
struct BlockLimits: Sendable {
    /// Those of the safety rules of verdicts.
    var verdicts = VerdictRules.Limits()
    /// Blocks that one worker enforces itself.
    var userspaceMax = 65_536
    /// Blocks that plugins made and the books have not taken yet.
    var newsMax = 4_096
}
