import Addressing
import DataPlane
import MeshModel

/// What became of Gateways on this node, as conditions (Gateway API v1 `ListenerConditionType`,
/// `GatewayConditionType`). Pure: sockets and certificates are facts given.
package struct ListenerConditions: Sendable {
    /// Why a socket does not listen.
    package struct SocketFault: Equatable, Sendable {
        /// What hinders it.
        package enum Cause: Sendable {
            /// Something else has the port, or it may not be taken.
            case portUnavailable
            /// The address is none of this node's.
            case addressUnusable
            /// Anything else.
            case other
        }

        /// What hinders it.
        package var cause: Cause
        /// A sentence that names address and error.
        package var sentence: String

        /// Makes a fault of its parts.
        package init(_ cause: Cause, _ sentence: String) {
            self.cause = cause
            self.sentence = sentence
        }
    }

    /// By socket address, what does not listen.
    package var socketFaults: [SocketAddress: SocketFault] = [:]
    /// By Secret, why its certificate as it is now is not in use.
    package var certificateFaults: [ObjectKey: String] = [:]
    /// By listener, why its TLS settings as they are now are not in use.
    package var listenerFaults: [String: String] = [:]
    /// Secrets of which a certificate is in use.
    package var usableCertificates: Set<ObjectKey> = []

    /// Begins with no faults.
    package init() {}

    /// The same with what time has made stale.
    func adding(_ overdue: TLSHostCompiler.Overdue) -> ListenerConditions {
        var all = self
        all.certificateFaults.merge(overdue.certificates) { first, _ in first }
        all.listenerFaults.merge(overdue.listeners) { first, _ in first }
        return all
    }

    /// The conditions of every Gateway that has listeners in the snapshot.
    package func conditions(of listeners: [Listener]) -> [ObjectKey: [Condition]] {
        var result: [ObjectKey: [Condition]] = [:]
        for (gateway, own) in Dictionary(grouping: listeners, by: \.id.gatewayKey) {
            let faults = own.map { (listener: $0, fault: fault(of: $0)) }
            var conditions: [Condition] = []
            for (listener, fault) in faults { conditions += self.conditions(of: listener, fault) }
            conditions.append(gatewayCondition(faults.map(\.fault)))
            result[gateway] = conditions
        }
        return result
    }

    private func fault(of listener: Listener) -> SocketFault? {
        let sockets = ListenerPlan.addresses(of: listener)
            .map { SocketAddress($0, listener.port) }
        if let fault = sockets.compactMap({ socketFaults[$0] }).first { return fault }
        guard listener.listenerProtocol == .https,
            !listener.certificates.contains(where: usableCertificates.contains)
        else { return nil }
        return SocketFault(.other, "no certificate can be used")
    }

    private func conditions(of listener: Listener, _ fault: SocketFault?) -> [Condition] {
        let subject = "listener \(listener.id.name)"
        var conditions: [Condition] = []
        let refused = listener.certificates.compactMap { key in
            certificateFaults[key].map { "\(key): \($0)" }
        }
        if let reason = refused.first {
            conditions.append(
                Condition(
                    subject: subject,
                    type: "ResolvedRefs",
                    status: .no,
                    reason: "InvalidCertificateRef",
                    message: reason
                )
            )
        }
        if let fault, fault.cause == .portUnavailable {
            conditions.append(
                Condition(
                    subject: subject,
                    type: "Accepted",
                    status: .no,
                    reason: "PortUnavailable",
                    message: fault.sentence
                )
            )
        }
        let settings = listenerFaults[listener.id.description]
        conditions.append(
            Condition(
                subject: subject,
                type: "Programmed",
                status: fault == nil && settings == nil ? .yes : .no,
                reason: fault == nil && settings == nil ? "Programmed" : "Invalid",
                message: fault?.sentence ?? settings ?? ""
            )
        )
        return conditions
    }

    /// A Gateway is programmed once one of its listeners is.
    private func gatewayCondition(_ faults: [SocketFault?]) -> Condition {
        let isProgrammed = faults.contains { $0 == nil }
        let first = faults.compactMap(\.self).first
        let reason = first?.cause == .addressUnusable ? "AddressNotUsable" : "Invalid"
        return Condition(
            type: "Programmed",
            status: isProgrammed ? .yes : .no,
            reason: isProgrammed ? "Programmed" : reason,
            message: first?.sentence ?? ""
        )
    }
}
