/// Status codes of gRPC (doc/statuscodes.md of the gRPC project).
package enum GRPCStatus: UInt8, CaseIterable, Sendable {
    case ok, cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists
    case permissionDenied, resourceExhausted, failedPrecondition, aborted, outOfRange
    case unimplemented, `internal`, unavailable, dataLoss, unauthenticated

    /// What stands for a code that is none of these, and for none at all.
    static let unlisted: UInt8 = 17

    /// The code of a local reply (doc/http-grpc-status-mapping.md).
    init(httpStatus: UInt16) {
        switch httpStatus {
        case 200: self = .ok
        case 400: self = .internal
        case 401: self = .unauthenticated
        case 403: self = .permissionDenied
        case 404: self = .unimplemented
        case 429, 502, 503, 504: self = .unavailable
        default: self = .unknown
        }
    }

    /// Such as `InvalidArgument`.
    var camelName: StaticString {
        switch self {
        case .ok: "OK"
        case .cancelled: "Canceled"
        case .unknown: "Unknown"
        case .invalidArgument: "InvalidArgument"
        case .deadlineExceeded: "DeadlineExceeded"
        case .notFound: "NotFound"
        case .alreadyExists: "AlreadyExists"
        case .permissionDenied: "PermissionDenied"
        case .resourceExhausted: "ResourceExhausted"
        case .failedPrecondition: "FailedPrecondition"
        case .aborted: "Aborted"
        case .outOfRange: "OutOfRange"
        case .unimplemented: "Unimplemented"
        case .internal: "Internal"
        case .unavailable: "Unavailable"
        case .dataLoss: "DataLoss"
        case .unauthenticated: "Unauthenticated"
        }
    }

    /// Such as `INVALID_ARGUMENT`.
    var snakeName: StaticString {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internal: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }

    /// The code as metrics show it; `OTHER` for what is none of them.
    package static func label(_ code: Int) -> String {
        guard let status = UInt8(exactly: code).flatMap(GRPCStatus.init(rawValue:)) else {
            return "OTHER"
        }
        return "\(status.snakeName)"
    }

    /// Reads the value of `grpc-status`; `unlisted` for what is no known code.
    static func code(of value: RawSpan) -> UInt8 {
        guard (1...2).contains(value.byteCount) else { return unlisted }
        var code: UInt8 = 0
        for offset in 0..<value.byteCount {
            let digit = value.byte(at: offset) &- UInt8(ascii: "0")
            guard digit <= 9 else { return unlisted }
            code = code &* 10 &+ digit
        }
        return code < unlisted ? code : unlisted
    }
}
