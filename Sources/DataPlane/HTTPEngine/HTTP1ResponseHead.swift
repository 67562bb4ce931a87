/// A response head as offsets into the span it was parsed from (RFC 9112 section 4).
package struct HTTP1ResponseHead: BitwiseCopyable, Sendable, Equatable {
    /// The status code, 100...999.
    package var status: UInt16 = 0
    /// 0 or 1.
    package var minorVersion: UInt8 = 1
    /// Whether the connection may be used again after the body.
    package var keepAlive = true
    /// `Upgrade` is there and `Connection` names it.
    package var hasUpgrade = false
    /// How the body ends, the request's method and the status considered.
    package var framing = BodyFraming.none
    /// Where the reason phrase begins.
    package var reasonOffset = 0
    /// Bytes of the reason phrase, often 0.
    package var reasonLength = 0
    /// Bytes of the status line with its CR LF: where the fields begin.
    package var statusLineLength = 0
    /// Index of the `Upgrade` field, or -1.
    package var upgradeField = -1
    /// Fields written to the table.
    package var fieldCount = 0
    /// The names among the fields that the parser notes: those up to `x-request-id`.
    package var present = HeaderMask()
    /// Some field must not stand in another message as it came: `Connection` names it, or it is a
    /// length with zeros before it.
    package var needsRewriting = false
    /// Bytes of the head with its final empty line.
    package var headByteCount = 0

    /// 100...199 except 101: another head follows (RFC 9110 section 15.2).
    package var isInterim: Bool { status < 200 && status != 101 }
}

/// What a call of the response parser found.
package enum ResponseParse: BitwiseCopyable, Sendable, Equatable {
    /// The head is not complete yet.
    case needMore
    /// A complete head.
    case head(HTTP1ResponseHead)
    /// The head is refused.
    case fault(HTTP1Fault)
}
