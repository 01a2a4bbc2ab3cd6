# What an administrator or an attacker does with a bucket that has Object Lock: signed requests, nothing else.
import datetime
import hashlib
import hmac
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

what, endpoint, bucket, prefix = sys.argv[1:5]
HOST = endpoint.split('//')[1]
REGION = 'us-east-1'


def request(method, path, query=''):
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp = now.strftime('%Y%m%dT%H%M%SZ')
    day = stamp[:8]
    empty = hashlib.sha256(b'').hexdigest()
    headers = {'host': HOST, 'x-amz-date': stamp, 'x-amz-content-sha256': empty}
    names = ';'.join(sorted(headers))
    lines = ''.join('%s:%s\n' % (name, headers[name]) for name in sorted(headers))
    canonical = '\n'.join([method, path, query, lines, names, empty])
    scope = '%s/%s/s3/aws4_request' % (day, REGION)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope, digest])
    key = b'AWS4testsecret'
    for part in (day, REGION, 's3', 'aws4_request'):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers['authorization'] = 'AWS4-HMAC-SHA256 Credential=testkey/%s, SignedHeaders=%s, Signature=%s' % (
        scope, names, signature)
    made = urllib.request.Request(endpoint + path + ('?' + query if query else ''), method=method, headers=headers)
    try:
        with urllib.request.urlopen(made) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def versions():
    query = 'prefix=%s&versions=' % urllib.parse.quote(prefix + '/', safe='')
    status, body = request('GET', '/' + bucket, query)
    assert status == 200, body
    for element in ET.fromstring(body):
        kind = element.tag.split('}')[-1]
        if kind in ('Version', 'DeleteMarker'):
            fields = {child.tag.split('}')[-1]: child.text for child in element}
            yield kind, fields['Key'], fields['VersionId'], fields['IsLatest'] == 'true', fields['LastModified']


def path_of(key):
    return '/%s/%s' % (bucket, key)


def retained(days):
    """How many segments there are, each of which stays for so many days at least."""
    wanted = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    count = 0
    for kind, key, version, latest, modified in versions():
        if kind != 'Version' or '/data/' not in key:
            continue
        status, body = request('GET', path_of(key), 'retention=')
        if not latest:
            continue
        assert status == 200, (key, body)
        fields = {child.tag.split('}')[-1]: child.text for child in ET.fromstring(body)}
        assert fields['Mode'] == 'GOVERNANCE', fields
        until = fields['RetainUntilDate'].replace('Z', '+00:00')
        assert datetime.datetime.fromisoformat(until) > wanted, fields
        count += 1
    print(count)


def destroy():
    """Removes every object, and what can be removed of their versions; shows how many could not, and when it began."""
    begun = datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%S')
    for kind, key, version, latest, modified in list(versions()):
        if latest:
            assert request('DELETE', path_of(key))[0] == 204
    refused = 0
    for kind, key, version, latest, modified in list(versions()):
        if kind == 'Version' and '/data/' in key:
            status, _ = request('DELETE', path_of(key), 'versionId=' + version)
            assert status == 403, (key, status)
            refused += 1
    print(refused, begun)


def undo(since):
    """Takes back what was removed since then: the marks that hide objects."""
    for kind, key, version, latest, modified in list(versions()):
        if kind == 'DeleteMarker' and latest and modified[:19] >= since:
            assert request('DELETE', path_of(key), 'versionId=' + version)[0] == 204


if what == 'retained':
    retained(int(sys.argv[5]))
elif what == 'destroy':
    destroy()
else:
    undo(sys.argv[5])
