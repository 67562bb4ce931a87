extension Duration {
    /// The whole nanoseconds, for structs and kernel calls that hold plain numbers; negative
    /// durations count as zero, and those of more than 292 years as that.
    package var wholeNanoseconds: UInt64 {
        guard self > .zero else { return 0 }
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow
            ? UInt64(Int64.max) : UInt64(scaled) + UInt64(attoseconds / 1_000_000_000)
    }
}
