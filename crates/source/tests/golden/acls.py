import os, json, subprocess, stat, tempfile
from borg.platform import acl_get, acl_set
d=tempfile.mkdtemp(dir='/tmp'); os.chdir(d)
out=[]
def cap(path):
    def x(n):
        try: return os.getxattr(path,n).hex()
        except OSError: return None
    st=os.stat(path); a={}; b={}
    acl_get(path,a,st); acl_get(path,b,st,numeric_ids=True)
    t=lambda v: None if v is None else v.decode()
    return dict(mode=st.st_mode, access_xattr=x('system.posix_acl_access'), default_xattr=x('system.posix_acl_default'),
      acl_access=t(a.get('acl_access')), acl_default=t(a.get('acl_default')), numeric_access=t(b.get('acl_access')), numeric_default=t(b.get('acl_default')))
def run(kind,*args):
    p='f%d'%len(out)
    if kind=='d': os.mkdir(p)
    else: open(p,'w').close()
    os.chmod(p,0o750)
    for a in args: subprocess.check_call(['setfacl']+a.split()+[p])
    c=cap(p); c['setfacl']=list(args); out.append(c)
run('f'); run('f','-m u:root:rw'); run('f','-m u:9999:rwx,u:8008:-,u:root:x,g:70000:r,g:root:wx'); run('f','-m u:4294967294:r,m::x'); run('f','-m o::rwx,g::-')
run('d'); run('d','-d -m u:root:rw'); run('d','-m u:5000:r'); run('d','-m u:5000:r,g:root:rwx','-d -m g:6000:rx,u:root:-,o::-'); run('d','-d -m u::rwx,g::rx,o::-')
run('d','-m u:30000:r,u:20020:w,u:100000:x,u:10000:rw,m::r')
print(json.dumps({"made_by":"acl_get of stock Borg 1.4.5 after the setfacl commands given","cases":out},indent=1))
