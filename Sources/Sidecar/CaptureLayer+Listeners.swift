import Addressing
import DataPlane
import L4Proxy
import LinuxSystem

extension CaptureLayer {
    func openListeners(_ pod: inout CapturePod) async throws(CaptureError) {
        let pods = CapturedPod(
            namespace: pod.namespace,
            outboundRoute: pod.slot * 2,
            inboundRoute: pod.slot * 2 + 1
        )
        let outboundNumber = pod.slot * 4
        let tools = self.tools
        _ = await pool.perform { worker in
            guard let tools = tools(worker) else { return }
            let mark = CaptureConstants.ownMark
            tools.relay.set(
                pods.outboundRoute,
                RelayRoute(destination: .original, namespace: pods.namespace, mark: mark)
            )
            tools.relay.set(
                pods.inboundRoute,
                RelayRoute(
                    destination: .originalKeepingSource,
                    namespace: pods.namespace,
                    mark: mark
                )
            )
        }
        let addresses: [(SocketAddress, Int32)] = [
            (SocketAddress(.loopbackIPv4, CaptureConstants.outboundPort), outboundNumber),
            (SocketAddress(.loopbackIPv6, CaptureConstants.outboundPort), outboundNumber + 1),
            (SocketAddress(.anyIPv4, CaptureConstants.inboundPort), outboundNumber + 2),
            (SocketAddress(.anyIPv6, CaptureConstants.inboundPort), outboundNumber + 3),
        ]
        do throws(CaptureError) {
            for (address, number) in addresses {
                try await listen(address, number, pods, outboundNumber, &pod)
            }
        } catch {
            await closeListeners(&pod)
            throw error
        }
    }

    /// Closes all of a pod's listening sockets: some of them are never enough.
    func closeListeners(_ pod: inout CapturePod) async {
        for port in pod.ports { await pool.close(port) }
        pod.ports = []
        pod.listenerCount = 0
    }

    private func listen(
        _ address: SocketAddress,
        _ number: Int32,
        _ captured: CapturedPod,
        _ base: Int32,
        _ pod: inout CapturePod
    ) async throws(CaptureError) {
        let count = pool.workers.count
        let descriptors: [Int32]
        do throws(CaptureError) {
            descriptors = try await inside(pod.namespace) { () throws(NetlinkError) in
                try CaptureListener.open(address, count: count)
            }
        } catch {
            // A pod without IPv6 has no IPv6 to be captured.
            guard address.ip.isIPv4 || pod.needsIPv6 else { return }
            throw error
        }
        let tools = self.tools
        let isOutbound = number < base + 2
        _ = await pool.perform { worker in
            tools(worker)?.dispatcher.set(
                captured,
                outboundNumber: isOutbound ? number : -1,
                inboundNumber: isOutbound ? -1 : number
            )
        }
        let binding = PortBinding(target: .capture(number), local: address)
        let port = await pool.share(descriptors, port: number, binding)
        pod.ports.append(port)
        guard port.isComplete else {
            throw CaptureError("a worker does not accept on \(address)")
        }
        pod.listenerCount += 1
        didStep(.listenerOpened)
    }
}

/// Listening sockets inside a pod.
enum CaptureListener {
    /// Opens one socket and duplicates it for each worker.
    static func open(_ address: SocketAddress, count: Int) throws(NetlinkError) -> [Int32] {
        var descriptors: [Int32] = []
        do throws(Errno) {
            let socket = try Socket.listen(on: address)
            for _ in 1..<max(count, 1) {
                descriptors.append(try OwnedFD(duplicating: socket.rawValue).release())
            }
            descriptors.append(socket.release())
            return descriptors
        } catch {
            for descriptor in descriptors { _ = OwnedFD(owning: descriptor) }
            throw NetlinkError(subject: "listen on \(address)", errno: error)
        }
    }
}
