/// A request head as offsets into the span it was parsed from (RFC 9112 section 3).
package struct HTTP1RequestHead: BitwiseCopyable, Sendable, Equatable {
    /// The four forms of a request target (RFC 9112 section 3.2).
    package enum TargetForm: UInt8, BitwiseCopyable, Sendable {
        /// `/path?query`.
        case origin
        /// `http://authority/path?query`.
        case absolute
        /// `host:port`, for CONNECT.
        case authority
        /// `*`, for OPTIONS.
        case asterisk

        /// Whether the target names a path.
        @inline(__always)
        var hasPath: Bool { rawValue <= TargetForm.absolute.rawValue }
    }

    /// The method.
    package var method = HTTPMethod.other
    /// 0 or 1.
    package var minorVersion: UInt8 = 1
    /// Which form the target has.
    package var targetForm = TargetForm.origin
    /// Whether the connection may carry another request after this one.
    package var keepAlive = true
    /// The client waits for `100 Continue` before it sends the body.
    package var expectsContinue = false
    /// `Upgrade` is there and `Connection` names it (RFC 9110 section 7.8).
    package var hasUpgrade = false
    /// How the body ends.
    package var framing = BodyFraming.none
    /// Where the method begins (2 when an empty line came first).
    package var methodOffset = 0
    /// Bytes of the method.
    package var methodLength = 0
    /// Where the target begins.
    package var targetOffset = 0
    /// Bytes of the target.
    package var targetLength = 0
    /// Where path and query begin.
    package var pathOffset = 0
    /// Bytes of path and query; 0 where the target has none, which stands for `/` in absolute form.
    package var pathLength = 0
    /// Where the authority that counts begins: the target's own, else the value of `Host`.
    package var authorityOffset = 0
    /// Bytes of that authority; 0 when there is none (HTTP/1.0).
    package var authorityLength = 0
    /// Index of the `Host` field, or -1.
    package var hostField = -1
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

    /// Whether request line and fields, `Host` among them, may stand in another request as they
    /// are.
    var isVerbatim: Bool {
        targetForm == .origin && minorVersion == 1 && methodOffset == 0 && hostField >= 0
            && !needsRewriting
    }
}

/// What a call of the request parser found.
package enum RequestParse: BitwiseCopyable, Sendable, Equatable {
    /// The head is not complete yet.
    case needMore
    /// A complete head.
    case head(HTTP1RequestHead)
    /// The head is refused.
    case fault(HTTP1Fault)
}
