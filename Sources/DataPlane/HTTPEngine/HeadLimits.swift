/// Bounds on one message head.
package struct HeadLimits: BitwiseCopyable, Sendable {
    /// Longest request or status line, CR LF included: 414 past it. At most 65,535.
    package var startLineByteLimit: Int
    /// Longest field line, CR LF included: 431 past it. At most 65,535.
    package var fieldLineByteLimit: Int
    /// Bytes of the whole head: 431 past it.
    package var headByteLimit: Int
    /// Fields of one head: 431 past it. The table given to the parser bounds it as well.
    package var fieldCountMax: Int
    /// Largest announced body in bytes: 413 past it.
    package var bodyByteLimit: UInt64

    /// The limit a 16-byte field can express.
    package static let lineByteCeiling = 65_535

    /// Makes limits; line limits are cut to what a field can express.
    package init(
        startLineByteLimit: Int = 16_384,
        fieldLineByteLimit: Int = 16_384,
        headByteLimit: Int = 32_768,
        fieldCountMax: Int = 128,
        bodyByteLimit: UInt64 = UInt64(Int64.max)
    ) {
        self.startLineByteLimit = min(startLineByteLimit, Self.lineByteCeiling)
        self.fieldLineByteLimit = min(fieldLineByteLimit, Self.lineByteCeiling)
        self.headByteLimit = headByteLimit
        self.fieldCountMax = fieldCountMax
        self.bodyByteLimit = bodyByteLimit
    }
}
