import CLinux

/// The kernel's clocks.
package enum Clock {
    /// CLOCK_MONOTONIC, nanoseconds: the clock of BPF as well.
    package static func monotonicNanoseconds() -> UInt64 { clinux_monotonic_nanoseconds() }

    /// CLOCK_REALTIME, nanoseconds since 1970.
    package static func wallNanoseconds() -> UInt64 { clinux_wall_nanoseconds() }
}
