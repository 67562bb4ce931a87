import Addressing
import MeshModel

/// What a listener's policies set for requests, apart from the defaults; requests to hosts without
/// any never look at one.
struct EdgeRow: BitwiseCopyable {
    var path = PathShape()
    var underscores = Underscores.keep
    /// Whether forwarding fields are anything but the default.
    var changesForwarding = false
    var trustedHops: UInt8 = 0
    /// Peers believed whatever the count of hops: a run of the view's prefixes.
    var trusted = RowRange()
    var addsForwarded = false
    var addsHost = false
    var keepsRequestID = true
    var via = TextRange()
    /// Bounds; 0 for none of its own.
    var headByteLimit = 0
    var fieldCountMax = 0
    var bodyByteLimit: UInt64 = 0
    var requestMax: UInt32 = 0

    /// What becomes of field names with an underscore.
    enum Underscores: UInt8, BitwiseCopyable {
        case keep
        case drop
        case reject
    }

    init() {}

    /// Whether settings hold anything that a row is for.
    static func isNeeded(by settings: ListenerSettings) -> Bool {
        settings.paths != PathForm() || settings.underscores != .keep
            || settings.forwarding != ForwardingSettings() || settings.limits != ListenerLimits()
    }

    /// Takes over a listener's settings; the view's texts and prefixes are the builder's.
    init(_ settings: ListenerSettings, via: TextRange, trusted: RowRange) {
        path.mergesSlashes = settings.paths.mergesSlashes
        path.escapedSlashes =
            switch settings.paths.escapedSlashes {
            case .keep: .keep
            case .decode: .decode
            case .reject: .reject
            }
        underscores =
            switch settings.underscores {
            case .keep: .keep
            case .drop: .drop
            case .reject: .reject
            }
        let forwarding = settings.forwarding
        changesForwarding = forwarding != ForwardingSettings()
        trustedHops = UInt8(clamping: forwarding.trustedHops)
        self.trusted = trusted
        addsForwarded = forwarding.addsForwarded
        addsHost = forwarding.addsHost
        keepsRequestID = forwarding.keepsRequestID
        self.via = via
        headByteLimit = settings.limits.headBytes
        fieldCountMax = settings.limits.headerFields
        bodyByteLimit = settings.limits.bodyBytes
        requestMax = settings.limits.requestsPerConnection
    }
}
