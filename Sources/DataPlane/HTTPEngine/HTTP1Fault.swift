/// Why a peer's HTTP/1 message is refused. Every one ends the connection after its answer.
package enum HTTP1Fault: UInt8, Error, BitwiseCopyable, Sendable, CaseIterable {
    /// The method is empty or holds a byte that is not a token character.
    case methodInvalid
    /// The request target holds a space, control, `#` or non-ASCII byte, or has no known form.
    case targetInvalid
    /// The authority of the target or of `Host` is not `host[:port]`.
    case authorityInvalid
    /// Not `HTTP/1.0` or `HTTP/1.1` in form.
    case versionInvalid
    /// Well formed, and a version this engine does not speak.
    case versionUnsupported
    /// The status line's code is not three digits of 100...999.
    case statusInvalid
    /// A line feed without its carriage return.
    case bareLineFeed
    /// A carriage return without its line feed.
    case bareCarriageReturn
    /// A field line without a name.
    case fieldNameEmpty
    /// A field name holds a byte that is not a token character.
    case fieldNameInvalid
    /// Whitespace between a field name and its colon (RFC 9112 section 5.1).
    case spaceBeforeColon
    /// A folded field line (RFC 9112 section 5.2).
    case foldedLine
    /// A field value or reason phrase holds a control byte.
    case fieldValueInvalid
    /// HTTP/1.1 without `Host` (RFC 9112 section 3.2).
    case hostMissing
    /// More than one `Host`.
    case hostDuplicate
    /// `Content-Length` is not one plain decimal number.
    case contentLengthInvalid
    /// More than one `Content-Length`, equal or not.
    case contentLengthDuplicate
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.1).
    case lengthAndTransferEncoding
    /// `Transfer-Encoding` whose final coding is not chunked, or that is not a list of codings.
    case transferEncodingInvalid
    /// A coding before the final chunked.
    case transferCodingUnsupported
    /// More than one `Transfer-Encoding`.
    case transferEncodingDuplicate
    /// `Transfer-Encoding` in HTTP/1.0.
    case transferEncodingInHTTP10
    /// `Connection` names more fields than its limit.
    case connectionOptionsExceeded
    /// `Connection` is not a list of tokens, or names a field that frames or routes the message.
    case connectionInvalid
    /// An expectation other than `100-continue`.
    case expectationUnsupported
    /// A CONNECT request that announces a body.
    case connectWithBody
    /// The start line is longer than its limit.
    case startLineTooLong
    /// A field line is longer than its limit.
    case fieldLineTooLong
    /// The head is longer than its limit.
    case headTooLarge
    /// The head has more fields than its limit.
    case fieldCountExceeded
    /// The announced body is larger than its limit.
    case bodyTooLarge
    /// A chunk size is not 1 to 16 hexadecimal digits below 2^63.
    case chunkSizeInvalid
    /// A chunk extension is malformed.
    case chunkExtensionInvalid
    /// A chunk's extensions exceed their limit.
    case chunkExtensionTooLong
    /// A chunk's data is not followed by CR LF.
    case chunkEndInvalid
    /// A trailer field is malformed.
    case trailerInvalid
    /// Trailers exceed their limit.
    case trailersTooLarge

    /// The status a server answers with.
    package var status: UInt16 {
        switch self {
        case .bodyTooLarge: 413
        case .startLineTooLong: 414
        case .expectationUnsupported: 417
        case .fieldLineTooLong, .headTooLarge, .fieldCountExceeded, .trailersTooLarge: 431
        case .transferCodingUnsupported: 501
        case .versionUnsupported: 505
        case .methodInvalid, .targetInvalid, .authorityInvalid, .versionInvalid, .statusInvalid,
            .bareLineFeed, .bareCarriageReturn, .fieldNameEmpty, .fieldNameInvalid,
            .spaceBeforeColon, .foldedLine, .fieldValueInvalid, .hostMissing, .hostDuplicate,
            .contentLengthInvalid, .contentLengthDuplicate, .lengthAndTransferEncoding,
            .transferEncodingInvalid, .transferEncodingDuplicate, .transferEncodingInHTTP10,
            .connectionInvalid, .connectionOptionsExceeded, .connectWithBody, .chunkSizeInvalid,
            .chunkExtensionInvalid, .chunkExtensionTooLong, .chunkEndInvalid, .trailerInvalid:
            400
        }
    }
}
