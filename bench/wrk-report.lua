-- wrk's result as one line of JSON, in microseconds.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"errors":%d,"p50Us":%d,"p99Us":%d}\n',
    summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50),
    latency:percentile(99)))
end
